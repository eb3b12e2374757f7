# SPDX-License-Identifier: Apache-2.0
"""A real Home Assistant, headless, that obeys JSON lines on its standard input and answers each with one.

It runs in a Python of its own that has ``homeassistant``; nothing of pynna is imported here. See
``tests/assistant/test_real_home_assistant.py``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from homeassistant import bootstrap, runner
from homeassistant.const import __version__
from homeassistant.core import Context, HomeAssistant

LIGHTS = ("Kitchen light", "Desk lamp")
NEEDED = ("wyoming", "assist_pipeline", "conversation", "stt", "tts", "ffmpeg", "frontend", "recorder", "camera",
          "zeroconf")  # fmt: skip
"""Integrations whose packages Home Assistant would install by itself."""


def requirements() -> list[str]:
    """What is to be installed for them."""
    import homeassistant.components

    folder = Path(next(iter(homeassistant.components.__path__)))
    told = [json.loads((folder / name / "manifest.json").read_text()).get("requirements", ()) for name in NEEDED]
    return sorted({name for names in told for name in names})


def configuration(port: int) -> str:
    """configuration.yaml: lights that need no device, and the parts that a voice needs."""
    switches = "".join(f"  l{i}: {{}}\n" for i in range(len(LIGHTS)))
    lights = "".join(
        f"      - name: {name}\n        unique_id: l{i}\n"
        f"        state: \"{{{{ is_state('input_boolean.l{i}', 'on') }}}}\"\n"
        f"        turn_on: {{action: input_boolean.turn_on, target: {{entity_id: input_boolean.l{i}}}}}\n"
        f"        turn_off: {{action: input_boolean.turn_off, target: {{entity_id: input_boolean.l{i}}}}}\n"
        for i, name in enumerate(LIGHTS)
    )
    return (
        f"homeassistant: {{name: Home, language: en}}\nhttp: {{server_host: 127.0.0.1, server_port: {port}}}\n"
        "conversation:\nintent:\nstt:\nassist_pipeline:\napi:\nwebsocket_api:\nconfig:\n"
        f"automation: !include automations.yaml\ninput_boolean:\n{switches}template:\n  - light:\n{lights}"
    )


class Obeys:
    """What may be asked, a method a command."""

    def __init__(self, hass: HomeAssistant) -> None:
        self.hass = hass

    async def token(self) -> str:
        """A long-lived access token of the owner."""
        auth = self.hass.auth
        user = await auth.async_create_user("owner", group_ids=["system-admin"])
        refresh = await auth.async_create_refresh_token(
            user, client_name="test", token_type="long_lived_access_token", access_token_expiration=timedelta(days=1)
        )
        return auth.async_create_access_token(refresh)

    async def connect(self, port: int) -> list[str]:
        """Adds a Wyoming server as its users do; the entities that it gives."""
        told = await self.hass.config_entries.flow.async_init(
            "wyoming", context={"source": "user"}, data={"host": "127.0.0.1", "port": port}
        )
        assert told["type"] == "create_entry", told
        await self.hass.async_block_till_done()
        return sorted(
            s.entity_id for s in self.hass.states.async_all() if s.domain in ("stt", "conversation", "wake_word")
        )

    async def hear(self, pcm: str, stt: str, agent: str = "conversation.home_assistant") -> dict[str, Any]:
        """A voice through the assist pipeline: 16 kHz int16 samples of a file."""
        from homeassistant.components import stt as speech
        from homeassistant.components.assist_pipeline import PipelineStage, async_pipeline_from_audio_stream
        from homeassistant.components.assist_pipeline.pipeline import KEY_ASSIST_PIPELINE

        pipeline = await self.hass.data[KEY_ASSIST_PIPELINE].pipeline_store.async_create_item({
            "name": "pynna", "language": "en", "conversation_engine": agent, "conversation_language": "en",
            "stt_engine": stt, "stt_language": "en", "tts_engine": None, "tts_language": None, "tts_voice": None,
            "wake_word_entity": None, "wake_word_id": None, "prefer_local_intents": False,
        })  # fmt: skip
        data, told = await asyncio.to_thread(Path(pcm).read_bytes), {}

        async def stream() -> AsyncIterator[bytes]:
            for at in range(0, len(data), 640):
                yield data[at : at + 640]
                await asyncio.sleep(0.005)
            for _ in range(100):
                yield bytes(640)
                await asyncio.sleep(0.005)

        await async_pipeline_from_audio_stream(
            self.hass, context=Context(), event_callback=lambda e: told.__setitem__(e.type.value, e.data),
            stt_metadata=speech.SpeechMetadata(
                language="en", format=speech.AudioFormats.WAV, codec=speech.AudioCodecs.PCM,
                bit_rate=speech.AudioBitRates.BITRATE_16, sample_rate=speech.AudioSampleRates.SAMPLERATE_16000,
                channel=speech.AudioChannels.CHANNEL_MONO,
            ),
            stt_stream=stream(), pipeline_id=pipeline.id, end_stage=PipelineStage.INTENT,
        )  # fmt: skip
        await self.hass.async_block_till_done()
        return told

    async def say(self, text: str, agent: str) -> dict[str, Any]:
        """A sentence to a conversation agent."""
        from homeassistant.components import conversation

        result = await conversation.async_converse(self.hass, text, None, Context(), language="en", agent_id=agent)
        await self.hass.async_block_till_done()
        return result.as_dict()

    async def state(self, entity: str) -> str | None:
        """An entity's state."""
        state = self.hass.states.get(entity)
        return state.state if state is not None else None

    async def rename(self, entity: str, **options: Any) -> None:
        """Another name, area or other aliases for an entity."""
        from homeassistant.helpers import area_registry, entity_registry

        if "area" in options:
            options["area_id"] = area_registry.async_get(self.hass).async_get_or_create(options.pop("area")).id
        if "aliases" in options:
            options["aliases"] = set(options["aliases"])
        entity_registry.async_get(self.hass).async_update_entity(entity, **options)
        await self.hass.async_block_till_done()

    async def automate(self, sentence: str, entity: str) -> None:
        """An automation that a sentence starts, and that turns something on."""
        made = {"id": "a1", "alias": sentence, "triggers": [{"trigger": "conversation", "command": [sentence]}],
                "actions": [{"action": "homeassistant.turn_on", "target": {"entity_id": entity}}]}  # fmt: skip
        await asyncio.to_thread(Path(self.hass.config.path("automations.yaml")).write_text, json.dumps([made]))
        await self.hass.services.async_call("automation", "reload", blocking=True)
        await self.hass.async_block_till_done()

    async def expose(self, entity: str, exposed: bool) -> None:
        """Whether an entity may be named to assistants."""
        from homeassistant.components.homeassistant.exposed_entities import async_expose_entity

        async_expose_entity(self.hass, "conversation", entity, exposed)
        await self.hass.async_block_till_done()


async def main(folder: str, port: int) -> None:
    """Until its standard input ends."""
    Path(folder, "automations.yaml").write_text("[]", encoding="utf-8")
    Path(folder, "configuration.yaml").write_text(configuration(port), encoding="utf-8")
    hass = await bootstrap.async_setup_hass(runner.RuntimeConfig(folder, skip_pip=True))
    assert hass is not None
    await hass.async_start()
    await hass.async_block_till_done()
    obeys = Obeys(hass)
    names = [name for name in NEEDED if find_spec(f"homeassistant.components.{name}")]
    print(json.dumps({"version": __version__, "available": names}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        try:
            answer = {"result": await getattr(obeys, asked.pop("do"))(**asked)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=str), flush=True)
    await hass.async_stop(force=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["requirements"]:
        print(*requirements())
    else:
        asyncio.run(main(sys.argv[1], int(sys.argv[2])))

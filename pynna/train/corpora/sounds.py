# SPDX-License-Identifier: Apache-2.0
"""Recorded noise out of Debian's packages: games, sound themes, music; resampled, sorted by kind, levelled.

``data/sounds.tsv`` lists where a package puts its sounds, of which kind they are, and under which licence; ``*`` is
for a folder of many kinds: the words of a file's name then tell which. Sounds that hold speech are left out, and so
are the kinds that the evaluation keeps for itself (`HELD_OUT`). Short sounds are joined, with pauses, to files of up
to a minute.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from pynna.train.config import DATA
from pynna.train.parallel import run
from pynna.train.voices.base import RATE, Pcm, to_rate

F32 = npt.NDArray[np.float32]
LEVEL = 10 ** (-28 / 20) * 32768
"""Root mean square of what is written."""
SECONDS = 60
FILES_OF_KIND = {"music": 6, "drums": 4, "foreign": 40, "music-held-out": 20}
"""Files of a package and kind, where it is not `FILES`."""
FILES = 5
FOREIGN, UNHEARD_MUSIC = EVALUATED = ("foreign", "music-held-out")
"""Recorded speech that is not English, and music, which only the evaluation hears."""
ENDINGS = {".aif", ".aiff", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav"}

HELD_OUT: dict[str, str] = {
    "kitchen": r"water|drip|drop|splash|swim|dive|bubble|boil|fountain|ocean|sea|river|lake|harbor|waves|plunge|gulp|"
               r"slurp|sink|sizzle|dish|plate|glass|cup|cutlery|knife|fork|spoon|drawer|tap|pot|pan|cook|fizz|inh2o|"
               r"h2o|ripples|potion",
    "construction": r"construct\w*|build\w*|hammer\w*|saw|buzzsaw|jackhammer|airhammer|bulldozer|drill\w*|smith\w*|"
                    r"anvil|blacksmith|stonecutt\w*|stonemason|quarry|woodcutt\w*|wood|cutting|sawmill|mortar|dig|dug|"
                    r"place|mine|coal|axe|pick|chop",
    "birds": r"birds?|birdchirp|chirp|owl|duck|goose|gulls?|seagulls?|crow|chicken|rooster|hen|parrot|eagle|hawk|"
             r"gryphon|woodpecker|morning|penguin|swan|pigeon|turkey|feathered|parkland",
    "storm": r"storm|thunder\w*|lightning\w*|wind|gust|breeze|arctic",
    "keyboard": r"key|keys|keyboard|typing|type\w*|typewriter|keyany|keyenter|keyclick|pencil|chalk|pen|paint|draw|"
                r"eraser|line|brush|comb",
    "purring": r"cat|cats|kitten|meow|purr",
    "footsteps": r"foot\w*|steps?|walk\w*|run|running|bikes?|bicycle",
    "city": r"city\w*|traffic|heavytraffic|trafic\w*|street|hum|residential|university|market|shanty|urban",
}  # fmt: skip
"""A kind of recorded noise that is never trained with, and the words that tell it."""

SPEECH = re.compile(
    r"voices?|speech|speak|say|says|said|talk|chat\w*|hello|welcome|welldone|announcer|taunts?|comment\w*|dialog\w*|"
    r"narrat\w*|sing|singer|song|vocals?|rap|choir|desc|words?|count|countdown|mk|tcas|flarm|vario|tutorial|radio|"
    r"briefing|one|two|three|four|five|six|seven|eight|nine|ten|go|yes|no|ok|tuxok|areyousure|youcannot|harfang|"
    r"excellent|perfect|great|hey|woohoo|yay|hohoho|ooh|yeah|abducted|help|nice|destiny|lucky|beatbox\w*|humanbeatbox|"
    r"join|eggs|party|crowd|cheering\w*|baby|boss|dzia|ack|sel|ment|front|rear|side|center|sources?|voice\w*|acknowledge|ready|select|attack|underattack|completed|"
    r"sos|robocop|bill|ben|cheer|ya|nono|intro|prince|princess"
)
"""Words of sounds that may hold speech."""

KINDS: dict[str, str] = {
    "explosions": r"expl\w*|explosion\w*|bomb\w*|blast\w*|boom|nuke|nuclear|dynamite|grenade|firework\w*|firecracker|"
                  r"\w*expl|\w*explosion",
    "guns": r"gun\w*|shot\w*|shoot\w*|fire\d*|cannon\w*|machinegun|missiles?|rockets?|torpedo|bullet\w*|bazooka|"
            r"cartridge|flak|m16|rifle|pistol|bow|arrow|crossbow|sling",
    "lasers": r"laser\w*|plasma|ion|beam|zap\w*|electr\w*|phaser|blaster|ray|tesla|zzzt|teleport\w*|warp|shield\w*",
    "engines": r"engine\w*|motor\w*|car|carpassing|motorcyclepassing|truck|bus|diesel|jet|plane|aircraft|helicopter|"
               r"train|tank\w*|vehicle\w*|turbo|nitro|propeller|apache|cessna|f1[68]|t38|thrust\w*|rotor|boat|ship|"
               r"submarine|skid\w*|tyre\w*|gear\w*|cart|carts|rolling|roll|wheel\w*|rail\w*|jetwash|jetpack|afterburner",
    "alarms": r"alarm\w*|siren|horn\w*|carhorn|police\w*|firetruck|klaxon\w*|buzzer|warning|beep\w*|alert\w*",
    "bells": r"bell\w*|gong|ring\w*|chime\w*|dong|ding|belltoll|savebell\w*|phone",
    "animals": r"dog\w*|bark\w*|growl\w*|snarl\w*|cow\w*|moo|sheep|baa|horse\w*|pig|wolf\w*|frogs?\w*|bees?\w*|"
               r"crickets?|bats?|bat|bull|lion|sealion|elephant|insects?|mouse\w*|rabbit\w*|snake|hiss\w*|animals?|gallop|farm|deer|"
               r"monkey|bear|woof|howl",
    "creatures": r"monster\w*|zombie\w*|troll|ogre|orc|dragon|drake|ghost\w*|alien\w*|goblin|naga|lich|skeleton|"
                 r"roar\w*|wose|saurian|worm\w*|demon|yeti|ghoul|creature|enem\w*|undead|kraken|slime",
    "grunts": r"grunt\w*|groan|pain|hurt|die|death\w*|dead\w*|injured|scream\w*|laugh\w*|giggle|cough\w*|sneeze\w*|"
              r"burp|sigh|human|dwarf|elf|breath\w*|snore|punch|fist|kick",
    "doors": r"door\w*|gate\w*|chest|open|close|opengate|closegate|trapdoor|lever|switch\w*|lock\w*|latch|piston\w*",
    "metal": r"metal\w*|clang|clank\d*|sword\w*|blade|mace|spear|dagger|coin\w*|gold|money|cash|chain|ricoch\w*|armor",
    "fire": r"flame\w*|burn\w*|lava|campfire|torch|embers|fuse|blowtorch|\w*fire",
    "crashes": r"crash\w*|break\w*|shatter|smash|crunch|collapse|quake|fall\w*|splat\w*|land\w*|collision|impact\w*|"
               r"rock\w*|stone\w*|bang|metalbang\w*|stonebang\w*|destr\w*",
    "knocks": r"thud|hit\w*|bounce\w*|knock|drum|ball\w*|bump\w*|jump\w*|stomp|slap|pop|balloon|brick\w*|box|throw|"
              r"wall|card\w*|dice|bumper|flipper|boing|\w*hit",
    "whooshes": r"whoosh\w*|swoosh\w*|woosh|swish\w*|fly\w*|air|miss|wing\w*|flap\w*|swing",
    "machines": r"machine\w*|machinery|factory\w*|industry\w*|mill|windmill|power\w*|computer|printer|sewingmachine|"
                r"generator|robot\w*|radar|lift|elevator|recycle|oil|substation|kiln|pump|clock|tick\w*|ticking",
    "rain": r"rain\w*",
    "ambience": r"ambient|ambi|ambience|night|forest|swamp|cave|desert|country|jungle|environment|env|space|meadow",
    "magic": r"magic\w*|spell|heal\w*|orb|fairy\w*|curse|shock\w*|power\w*|upgrade|bonus|extra\w*|life\w*",
    "drums": r"drum\w*|cymbal\w*|hihat|snare|kick|bd|sn|tom|perc|tabla|loop|shaker|clap|hat|ride|bass|tbd|beat",
    "instruments": r"guit\w*|piano|string\w*|flute|trumpet|organ|violin|xylo|synth|elec|noteblock|scale|"
                   r"timpani|bass|cello",
    "signals": r"click\w*|clic|menu\w*|button\w*|select\w*|error|message|notif\w*|complete|win\w*|lose|level\w*|"
               r"start\w*|end\w*|game\w*|pick\w*|item\w*|turn|toggle|ui|move|invalid|ping",
}  # fmt: skip
"""A kind, and the words that tell it, of which the first kind that has one wins."""


@dataclass(frozen=True)
class Source:
    """A folder, or a pattern of files, of a package's sounds below /usr; its kind is ``*`` if files' names tell it."""

    package: str
    folder: str
    kind: str
    licence: str


@functools.cache
def sources() -> tuple[Source, ...]:
    """The table."""
    lines = (DATA / "sounds.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return tuple(Source(*line.split("\t")) for line in lines)


def words(path: str) -> list[str]:
    """The words of a path, in small letters: ``LrgExpl2/old_door.wav`` has lrg, expl2, old, door.

    >>> words("effects/DoorCreak-2.wav")
    ['effects', 'door', 'creak']
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(Path(path).with_suffix("")))
    return [word for word in re.split(r"[^a-z0-9]+", apart.lower()) if re.search("[a-z]", word)]


def _named(bare: Sequence[str], kinds: Mapping[str, str]) -> str:
    """The first of the kinds that a word tells; empty for none."""
    return next((name for name, pattern in kinds.items() for word in bare if re.fullmatch(pattern, word)), "")


def kind(path: str, given: str = "*", held_out: bool = False) -> str:
    """The kind of a sound by its path below the package's folder; empty for what is left out.

    That are the kinds that training must not hear; where it is `held_out` that is wanted, all but these.
    """
    if given in EVALUATED:
        return given if held_out else ""
    found = words(path)
    bare = [*found, *(word.rstrip("0123456789") for word in found)]
    joined = [a + b for a, b in zip(found, found[1:], strict=False)]
    if any(SPEECH.fullmatch(word) for word in bare):
        return ""
    kept = "" if given in ("music", "drums", "instruments") else _named([*bare, *joined], HELD_OUT)
    if kept or held_out:
        return kept if held_out else ""
    if given != "*":
        return given
    return "music" if "music" in bare or "musics" in bare else _named(bare, KINDS) or "effects"


def files(usr: Path, source: Source, held_out: bool = False) -> Iterator[tuple[Path, str]]:
    """A source's sounds and their kinds, as `kind` has them, in an order that is the same everywhere."""
    for top in sorted(usr.glob(source.folder)):
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            name = path.relative_to(top).as_posix() if top.is_dir() else top.name
            if path.suffix.lower() in ENDINGS and path.is_file() and (found := kind(name, source.kind, held_out)):
                yield path, found


def read(path: Path) -> F32:
    """A minute at most of a sound as float32 [n] at 16 kHz, of `LEVEL`; empty for what can't be read, or is silent."""
    try:
        with soundfile.SoundFile(path) as file:
            length = SECONDS * file.samplerate
            if file.frames > 2 * length:  # what is long begins softly
                file.seek((file.frames - length) // 3)
            x, rate = file.read(length, dtype="float32", always_2d=True), file.samplerate
    except (soundfile.LibsndfileError, OSError):
        return np.zeros(0, np.float32)
    y = to_rate(x, rate).astype(np.float32)
    y = y[np.argmax(np.abs(y) > 30) : len(y) - int(np.argmax(np.abs(y[::-1]) > 30))] if len(y) else y
    loud = float(np.sqrt((y**2).mean())) if len(y) > 400 else 0.0
    if loud < 10:
        return np.zeros(0, np.float32)
    return y * np.float32(min(LEVEL / loud, 30000 / float(np.abs(y).max())))


def minutes(sounds: Iterable[F32], rng: random.Random) -> Iterator[tuple[F32, int]]:
    """Sounds joined with pauses of up to two seconds to stretches of up to a minute, and how many are in each."""
    parts: list[F32] = []
    room, count = SECONDS * RATE, 0
    for sound in sounds:
        if parts and len(sound) > room:
            yield np.concatenate(parts), count
            parts, room, count = [], SECONDS * RATE, 0
        pause = np.zeros(int(rng.expovariate(2.5) * RATE) % (2 * RATE), np.float32)
        parts += [sound[:room], pause[: max(0, room - len(sound))]]
        room -= len(parts[-1]) + len(parts[-2])
        count += 1
    if parts:
        yield np.concatenate(parts), count


def _make(output: Path, usr: Path, package: str, name: str, licence: str, paths: list[Path]) -> None:
    """Write the files of a package and kind, and their rows of the manifest."""
    rng = random.Random(f"{package} {name}")
    rng.shuffle(paths)
    sounds = (sound for sound in map(read, paths) if len(sound))
    rows = []
    for number, (samples, count) in enumerate(minutes(sounds, rng)):
        if number == FILES_OF_KIND.get(name, FILES):
            break
        if len(samples) < RATE:
            continue
        pcm: Pcm = np.asarray(np.clip(samples, -32768, 32767), np.int16)
        path = output / f"{name}_{package}-{number}.flac"
        soundfile.write(path, pcm, RATE)
        rows.append(f"{path.name}\t{name}\t{package}\t{licence}\t{len(pcm) / RATE:.1f}\t{count}\n")
    (output / f"{name}_{package}.rows").write_text("".join(rows), encoding="utf-8")


def make(output: Path, usr: Path, jobs: int = 2, held_out: bool = False) -> dict[str, int]:
    """Collect the sounds of the packages that are installed below `usr`; returns the number of files by kind.

    Those for training or, where `held_out` is set, those that only the evaluation may hear.

    Raises
    ------
    FileNotFoundError
        If none of the packages is there; it says which to install.
    """
    found: dict[tuple[str, str, str], list[Path]] = {}
    for source in sources():
        for path, name in files(usr, source, held_out):
            found.setdefault((source.package, name, source.licence), []).append(path)
    if not found:
        wanted = [source for source in sources() if held_out or source.kind not in EVALUATED]
        packages = " ".join(dict.fromkeys(source.package for source in wanted))
        raise FileNotFoundError(f"no sounds are below {usr}: apt-get install {packages}")
    output.mkdir(parents=True, exist_ok=True)
    run([(_make, (output, usr, package, name, licence, paths))
         for (package, name, licence), paths in sorted(found.items())], jobs, "sounds")  # fmt: skip
    return _manifest(output)


def _manifest(output: Path) -> dict[str, int]:
    """Write the manifest out of the parts' rows; the number of files by kind."""
    parts = sorted(output.glob("*.rows"))
    rows = [row for part in parts for row in part.read_text(encoding="utf-8").splitlines(keepends=True)]
    head = "path\tkind\tpackage\tlicence\tseconds\tsounds\n"
    (output / "manifest.tsv").write_text(head + "".join(rows), encoding="utf-8")
    for part in parts:
        part.unlink()
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.split("\t")[1]] = counts.get(row.split("\t")[1], 0) + 1
    return counts

# SPDX-License-Identifier: Apache-2.0
"""As speech servers and transcribers with a voice detector are: frames are cut at pauses, workers share one model."""

import collections
import concurrent.futures
import importlib
import sys
import wave

import numpy as np

engine = importlib.import_module(sys.argv[1])
FRAME = 480  # 30 ms


def frames(pcm):
    for start in range(0, len(pcm) - FRAME + 1, FRAME):
        yield pcm[start : start + FRAME]


def utterances(pcm, padding=10):
    ring, voiced, triggered = collections.deque(maxlen=padding), [], False
    for frame in frames(pcm):
        is_speech = np.abs(frame.astype(np.int32)).mean() > 150
        ring.append((frame, is_speech))
        loud = sum(speech for _, speech in ring)
        if not triggered and loud > 0.5 * padding:
            triggered, voiced = True, [f for f, _ in ring]
        elif triggered:
            voiced.append(frame)
            if loud < 0.1 * padding:
                yield b"".join(f.tobytes() for f in voiced)
                triggered, voiced = False, []
                ring.clear()
    if voiced:
        yield b"".join(f.tobytes() for f in voiced)


def transcribe(model, data):
    stream = model.createStream()
    audio = np.frombuffer(data, dtype=np.int16)
    for start in range(0, len(audio), 320):
        stream.feedAudioContent(audio[start : start + 320])
        assert len(stream.intermediateDecodeWithMetadata(num_results=1).transcripts[0].tokens) < 20
    return stream.finishStream()


with wave.open(sys.argv[2 + 1]) as fin:
    one = np.frombuffer(fin.readframes(fin.getnframes()), np.int16)
model = engine.Model(sys.argv[2])
pause = np.zeros(16000, np.int16)
segments = list(utterances(np.concatenate([pause, one, pause, one, pause])))
for number, segment in enumerate(segments, 1):
    print(number, model.stt(np.frombuffer(segment, np.int16)))
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    texts = list(pool.map(lambda data: transcribe(model, data), segments * 2))
print("both at once", texts == ["open the window"] * 4)
try:
    model.stt(segments[0])
except ValueError:
    print("refused", True)

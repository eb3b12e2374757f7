# SPDX-License-Identifier: Apache-2.0
"""Programs of 0.5 and 0.6, as people wrote them: positional arguments, streams that are handed to the model."""

import sys
import wave

import deepspeech
import numpy as np

N_FEATURES, N_CONTEXT, BEAM_WIDTH, LM_ALPHA, LM_BETA = 26, 9, 500, 0.75, 1.85
release, path, alphabet, wav, lm = sys.argv[1:6]


def to_string(metadata):
    return "".join(item.character for item in metadata.items)


deepspeech.printVersions()
with wave.open(wav, "rb") as fin:
    fs = fin.getframerate()
    audio = np.frombuffer(fin.readframes(fin.getnframes()), np.int16)
if release == "0.5":
    ds = deepspeech.Model(path, N_FEATURES, N_CONTEXT, alphabet, BEAM_WIDTH)
    print(ds.stt(audio, fs), to_string(ds.sttWithMetadata(audio, fs)), sep="|")
    sctx = ds.setupStream(sample_rate=fs)
else:
    ds = deepspeech.Model(path, BEAM_WIDTH)
    assert ds.sampleRate() == fs
    print(ds.stt(audio), to_string(ds.sttWithMetadata(audio)), sep="|")
    sctx = ds.createStream()
for start in range(0, len(audio), 1024):
    ds.feedAudioContent(sctx, audio[start : start + 1024])
    ds.intermediateDecode(sctx)
metadata = ds.finishStreamWithMetadata(sctx)
times = [metadata.items[i].start_time for i in range(metadata.num_items)]
score = metadata.probability if release == "0.5" else metadata.confidence
print(to_string(metadata), times == sorted(times), score > 0, sep="|")
if release == "0.6":
    unused = ds.createStream()
    deepspeech.freeStream(unused)
arguments = [alphabet] if release == "0.5" else []
ds.enableDecoderWithLM(*arguments, lm, "trie", LM_ALPHA, LM_BETA)
print(isinstance(ds.stt(audio, fs) if release == "0.5" else ds.stt(audio), str))

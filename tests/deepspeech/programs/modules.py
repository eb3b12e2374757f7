# SPDX-License-Identifier: Apache-2.0
"""Programs that import the packages' modules, and name 0.5's arguments as its C interface does."""

import json
import sys
import wave

import deepspeech
import numpy as np
from deepspeech import Model
from deepspeech.client import (
    BEAM_WIDTH,
    LM_ALPHA,
    LM_BETA,
    N_CONTEXT,
    N_FEATURES,
    convert_samplerate,
    metadata_json_output,
    metadata_to_string,
    words_from_candidate_transcript,
)
from deepspeech.impl import Version
from stt.impl import CandidateTranscript

path, alphabet, wav, lm = sys.argv[1:5]
with wave.open(wav) as fin:
    audio = np.frombuffer(fin.readframes(fin.getnframes()), np.int16)
ds = Model(model_path=path)
told = ds.sttWithMetadata(audio, 2)
print(metadata_to_string(told))
print(metadata_to_string(told.transcripts[0]))
print("|".join(w["word"] for w in words_from_candidate_transcript(told.transcripts[0])))
rate, slower = convert_samplerate(wav, 8000)
print(rate, slower.dtype == np.int16 and abs(2 * len(slower) - len(audio)) < 4)
hypotheses = json.loads(metadata_json_output(told))["transcripts"]
print(len(hypotheses), hypotheses[0]["words"][0]["word"])
print(isinstance(told.transcripts[0], CandidateTranscript) and Version() == deepspeech.impl.Version())
old = Model(aModelPath=path, aNCep=N_FEATURES, aNContext=N_CONTEXT, aAlphabetConfigPath=alphabet, aBeamWidth=BEAM_WIDTH)
print(old.stt(aBuffer=audio, aSampleRate=16000))
print(
    old.enableDecoderWithLM(
        aAlphabetConfigPath=alphabet, aLMPath=lm, aTriePath="trie", aLMAlpha=LM_ALPHA, aLMBeta=LM_BETA
    )
)
ds = deepspeech.Model(path, BEAM_WIDTH)
context = ds.createStream()
ds.feedAudioContent(aSctx=context, aBuffer=audio)
print(ds.finishStream(aSctx=context))

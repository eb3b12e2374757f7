# SPDX-License-Identifier: Apache-2.0
"""A client of 0.7 to 0.9 and Coqui STT, as people write them: hypotheses with their words' times as JSON."""

import argparse
import json
import sys
import wave

import numpy as np

if "stt" in sys.argv[1:2]:
    import stt as engine
    from stt import Model, version
else:
    import deepspeech as engine
    from deepspeech import Model, version


def words(transcript):
    word, began, out = "", 0.0, []
    for i, token in enumerate(transcript.tokens):
        if token.text != " ":
            if not word:
                began = token.start_time
            word += token.text
        if word and (token.text == " " or i == len(transcript.tokens) - 1):
            out.append({"word": word, "start_time": round(began, 4), "steps": token.timestep})
            word = ""
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("engine")
    parser.add_argument("--model")
    parser.add_argument("--scorer")
    parser.add_argument("--audio")
    parser.add_argument("--hot_words")
    parser.add_argument("--candidate_transcripts", type=int, default=3)
    args = parser.parse_args()
    ds = Model(model_path=args.model)
    ds.setBeamWidth(beam_width=200)
    if args.scorer:
        ds.enableExternalScorer(scorer_path=args.scorer)
        ds.setScorerAlphaBeta(alpha=0.2, beta=0.1)
        for pair in args.hot_words.split(","):
            word, boost = pair.split(":")
            ds.addHotWord(word=word, boost=float(boost))
    with wave.open(args.audio, "rb") as fin:
        assert fin.getframerate() == ds.sampleRate()
        audio = np.frombuffer(fin.readframes(fin.getnframes()), np.int16)
    plain = ds.stt(audio_buffer=audio)
    told = ds.sttWithMetadata(audio_buffer=audio, num_results=args.candidate_transcripts)
    if args.scorer:
        ds.eraseHotWord(word=args.hot_words.split(":")[0])
        ds.clearHotWords()
        ds.disableExternalScorer()
    out = [{"confidence": t.confidence, "words": words(t)} for t in told.transcripts]
    found = {"text": plain, "version": version(), "beam": ds.beamWidth(), "package": engine.__version__}
    print(json.dumps({**found, "transcripts": out}))
    del ds


main()

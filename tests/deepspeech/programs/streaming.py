# SPDX-License-Identifier: Apache-2.0
"""A microphone loop of 0.7 to 0.9, as people write them: frames of 20 ms from a queue, partial texts, many streams."""

import queue
import sys
import threading
import wave

import deepspeech
import numpy as np


class Source:
    """Gives frames from a thread, as a microphone's callback does, and None at the end of each utterance."""

    def __init__(self, path):
        self.buffer = queue.Queue()
        self.path = path
        threading.Thread(target=self.fill, daemon=True).start()

    def fill(self):
        for _ in range(2):
            with wave.open(self.path, "rb") as fin:
                while frame := fin.readframes(320):
                    self.buffer.put(frame)
            self.buffer.put(None)
        self.buffer.put("end")

    def frames(self):
        while (frame := self.buffer.get()) != "end":
            yield frame


model = deepspeech.Model(sys.argv[1])
stream_context = model.createStream()
partial, heard = "", bytearray()
for frame in Source(sys.argv[2]).frames():
    if frame is not None:
        stream_context.feedAudioContent(np.frombuffer(frame, np.int16))
        heard.extend(frame)
        text = stream_context.intermediateDecode()
        if text != partial:
            print("partial:", text)
            partial = text
        continue
    candidates = stream_context.intermediateDecodeWithMetadata(2).transcripts
    print("candidates:", len(candidates))
    result = stream_context.finishStreamWithMetadata(num_results=1)
    best = result.transcripts[0]
    print("final:", "".join(token.text for token in best.tokens), best.tokens[-1].start_time > 0.5)
    del stream_context
    partial, stream_context = "", model.createStream()
stream_context.freeStream()
again = model.createStream()
again.feedAudioContent(np.frombuffer(heard, dtype=np.int16))
print("both:", again.finishStream())

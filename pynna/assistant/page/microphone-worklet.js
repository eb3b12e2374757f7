/* SPDX-License-Identifier: Apache-2.0 */
// Audio of the browser's microphone as 20 ms frames of int16 samples at the recogniser's rate.

class Frames extends AudioWorkletProcessor {
  constructor(options) {
    super();
    this.ratio = sampleRate / options.processorOptions.rate; // 1 where the context runs at the rate itself
    this.size = options.processorOptions.rate / 50;
    this.frame = new Int16Array(this.size);
    this.filled = 0;
    this.sum = 0;
    this.count = 0;
    this.next = this.ratio;
    this.energy = 0;
  }

  push(sample) {
    const clipped = Math.max(-1, Math.min(1, sample));
    this.energy += clipped * clipped;
    this.frame[this.filled++] = Math.round(clipped * 32767);
    if (this.filled === this.size) {
      this.port.postMessage({ pcm: this.frame.buffer, level: Math.sqrt(this.energy / this.size) }, [this.frame.buffer]);
      this.frame = new Int16Array(this.size);
      this.filled = 0;
      this.energy = 0;
    }
  }

  process(inputs) {
    const channel = inputs[0][0];
    if (!channel) return true;
    for (const sample of channel) {
      if (this.ratio === 1) {
        this.push(sample);
        continue;
      }
      this.sum += sample; // a mean over each output sample's stretch: for browsers that keep the device's rate
      this.count += 1;
      if (this.count >= this.next) {
        this.push(this.sum / this.count);
        this.next += this.ratio - this.count;
        this.sum = 0;
        this.count = 0;
      }
    }
    return true;
  }
}

registerProcessor("frames", Frames);

/* SPDX-License-Identifier: Apache-2.0 */
/* Files as they are, in read-only memory: MODEL, GRAMMAR and RECORDING are their paths. */
    .section .model, "a"
    .balign 64
    .global model_file, model_end
model_file:
    .incbin MODEL
model_end:

    .section .rodata.sounds, "a"
    .balign 4
    .global grammar_file, grammar_end, recording, recording_end
grammar_file:
    .incbin GRAMMAR
grammar_end:
    .balign 4
recording:
    .incbin RECORDING
recording_end:

#if defined(__linux__)
    .section .note.GNU-stack, "", %progbits
#endif

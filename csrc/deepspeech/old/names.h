/* SPDX-License-Identifier: Apache-2.0 */
/* What has other arguments in DeepSpeech 0.5 or 0.6 (DS_RELEASE, 5 or 6) than later, under names of its own: the library
 * of that release calls these. Included before deepspeech.h. */
#ifndef DS_OLD_NAMES_H
#define DS_OLD_NAMES_H

#define DS_CreateModel ds_create_model
#define DS_SpeechToTextWithMetadata ds_speech_to_text_with_metadata
#define DS_FinishStreamWithMetadata ds_finish_stream_with_metadata
#if DS_RELEASE == 5
#define DS_SpeechToText ds_speech_to_text
#define DS_EnableDecoderWithLM ds_enable_decoder_with_lm
#endif

#endif

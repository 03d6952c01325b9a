// Package waketrain makes a wake word head for a phrase: it has the phrase and much that is not it
// spoken by flite and, if it is installed, espeak-ng, takes recordings from a folder, puts all of it
// into scenes with noise, echo and other people's speech, and trains on what the openWakeWord chain
// makes of them. Then it measures the head on voices that it has not heard. How a head is trained on
// features is the matter of openwakeword/train.
//
// The same options with the same programs give the same bytes on one kind of processor: every choice
// comes from the seed, and scenes are made beside each other but used in their order.
package waketrain

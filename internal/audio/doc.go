// Package audio brings sound in and out: microphones as frames, a hub that fans them out, speakers
// as sinks, and what lies between: WAV files, resampling, levels and spectra.
//
// It knows sound and numbers only. Which microphone a site has, what is published and where the
// spectrum goes is the matter of the services; sound that travels on topics comes in through a
// Feed and goes out through a Peer, by functions that a service hands in.
//
// Inside tarsd a microphone is always 16 kHz, mono, signed 16 bit, in frames of 20 ms.
package audio

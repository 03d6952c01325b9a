// Package ears owns the microphones of this process and shares them: the one of this machine, and one
// for each site that sends sound on audio/in/SITE. It opens them, says how they are, and hands each
// one to all who listen; what is said is a matter of those.
package ears

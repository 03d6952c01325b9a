// Package persona reads the files that say who the robot is: TOML with the sections info, traits,
// voice, scenario, personality_notes, example_interactions and meta, as the system before this one
// had them. It owns the built-in TARS, and nothing else: what is changed at run time is kept by
// whoever loads a persona.
package persona

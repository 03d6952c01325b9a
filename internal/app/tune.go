package app

import "github.com/rs/zerolog"

func tune(zerolog.Logger) {}

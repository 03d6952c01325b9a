package waketrain

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// PerHour is how often the head was wrong in an hour of sound without the phrase; 0 if there was none.
func (r Report) PerHour() float64 {
	if r.Evaluated == 0 {
		return 0
	}
	return float64(r.FalseHits) / r.Evaluated.Hours()
}

// Total is the recall of all voices together.
func (r Report) Total() Recall {
	sum := Recall{Who: "all"}
	for _, x := range r.Recall {
		sum.Calls += x.Calls
		sum.Hits += x.Hits
	}
	return sum
}

// Percent is the share of calls that were heard.
func (r Recall) Percent() float64 {
	if r.Calls == 0 {
		return math.NaN()
	}
	return 100 * float64(r.Hits) / float64(r.Calls)
}

// String is the report as text.
func (r Report) String() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("phrase        %s", r.Phrase)
	p("threshold     %.3f", r.Threshold)
	p("trained on    %s of sound, %d windows, %d voices, %d recordings", r.Trained.Round(time.Second), r.Windows.Examples, len(r.Voices), r.Recorded)
	p("epochs        %d, the best was %d", r.Windows.Epochs, r.Windows.Best)
	p("recall on held-back voices:")
	for _, x := range append(r.Recall, r.Total()) {
		p("  %-36s %3d of %3d  %5.1f %%", x.Who, x.Hits, x.Calls, x.Percent())
	}
	p("texts like the phrase that woke it: %d of %d", r.Near.Hits, r.Near.Calls)
	if r.Evaluated > 0 {
		p("false accepts %d in %s, %.2f an hour; highest scores %.3f", r.FalseHits, r.Evaluated.Round(time.Second), r.PerHour(), r.Loudest)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

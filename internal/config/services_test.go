package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestServiceLists(t *testing.T) {
	t.Parallel()
	known := []string{"movement", "memory", "llm"}
	for _, c := range []struct {
		list     []string
		problems []string
		chosen   []string
	}{
		{nil, nil, known},
		{[]string{"none"}, nil, []string{}},
		{[]string{"llm", "movement"}, nil, []string{"movement", "llm"}},
		{[]string{"llm", "llm"}, []string{"services[1]: llm is there twice"}, []string{"llm"}},
		{[]string{"none", "llm"}, []string{"services[0]: none stands alone"}, []string{"llm"}},
		{[]string{"memry"}, []string{`services[0]: there is no service "memry"; did you mean memory?`}, []string{}},
		{[]string{"stt"}, []string{`services[0]: there is no service "stt"; there are movement, memory, llm, none`}, []string{}},
		{[]string{"speech"}, []string{`services[0]: there is no service "speech"; there are movement, memory, llm, none`}, []string{}},
	} {
		var ps Problems
		checkServices(c.list, known, &ps)
		var got []string
		for _, p := range ps {
			got = append(got, p.Error())
		}
		assert.Equal(t, c.problems, got, "%v", c.list)
		assert.Equal(t, c.chosen, chosen(c.list, known), "%v", c.list)
	}
	for _, s := range []string{"stt", "wake", "ears"} { // who listens needs ears
		assert.Contains(t, chosen([]string{s}, []string{"llm", "ears", "stt", "wake"}), "ears", s)
	}
	assert.Equal(t, []string{"llm"}, chosen([]string{"llm"}, []string{"llm", "ears", "stt", "wake"}))
}

package offline

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSums(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"what is 2 plus 2":                       "4",
		"What's 2+2?":                            "4",
		"two plus two":                           "4",
		"calculate 12 times 11 please":           "132",
		"how much is twelve times eleven":        "132",
		"what is fifteen percent of two hundred": "30",
		"15% of 200":                             "30",
		"100 minus 15 percent":                   "99.85",
		"what is the square root of 81":          "9",
		"2 to the power of 10":                   "1024",
		"2 ** 3 ^ 2":                             "512",
		"five squared":                           "25",
		"minus three squared":                    "-9",
		"(1 + 2) * 3":                            "9",
		"1 + 2 * 3":                              "7",
		"10 / 4":                                 "2.5",
		"ten divided by three":                   "about 3.333333",
		"0.1 + 0.2":                              "0.3",
		"17 mod 5":                               "2",
		"five factorial":                         "120",
		"one hundred and five plus one":          "106",
		"two hundred thousand and one minus one": "200000",
		"twenty-one plus one":                    "22",
		"three point one four times two":         "6.28",
		"1,000 + 1":                              "1001",
		"2 million plus 1":                       "2000001",
		"half of ninety":                         "45",
		"3 x 4":                                  "12",
		"10 - -5":                                "15",
		"2 to the power of 100":                  "about 1.27 times ten to the power of 30",
		"1 / 10000000":                           "about 1.00 times ten to the power of -7",
		"one million times one million times one thousand": "about 1.00 times ten to the power of 15",
		"-1!":   "-1",
		"0 * 5": "0",
	} {
		v, err := sum(text)
		if assert.NoError(t, err, text) {
			assert.Equal(t, want, figure(v), text)
		}
	}
}

func TestNoSums(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		"":                          errNoSum,
		"what is 5":                 errNoSum,
		"what is love":              errNoSum,
		"what time is it":           errNoSum,
		"2 plus":                    errNoSum,
		"plus two":                  errNoSum,
		"two two":                   errNoSum,
		"2 plus 2 apples":           errNoSum,
		"one and two":               errNoSum,
		"(1 + 2":                    errNoSum,
		"1 + 2)":                    errNoSum,
		"1 / 0":                     errUndefined,
		"5 mod 0":                   errUndefined,
		"square root of minus four": errUndefined,
		"2.5!":                      errUndefined,
		"171!":                      errHuge,
		"9 ^ 9 ^ 9":                 errHuge,
		"0 ^ -1":                    errHuge,
		"the minus sign":            errNoSum,
	} {
		_, err := sum(text)
		assert.ErrorIs(t, err, want, text)
	}
}

func FuzzSum(f *testing.F) {
	for _, s := range []string{"2 plus 2", "((((1", "- - - -1", "one hundred and", "9!!!!!", "1e9 + 1", "٣ + 1", "sqrt sqrt 2", "\xff + 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := sum(s)
		if err == nil {
			assert.NotEmpty(t, figure(v))
			return
		}
		assert.True(t, errors.Is(err, errNoSum) || errors.Is(err, errUndefined) || errors.Is(err, errHuge))
	})
}

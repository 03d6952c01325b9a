package offline

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// rules are tried in order; the first that answers wins.
func rules() []rule {
	return []rule{
		{phrases: []string{"time is it", "time it is", "whats the time", "what is the time"}, answer: clock},
		{phrases: []string{"what time", "the time", "time"}, whole: true, answer: clock},
		{phrases: []string{"day is it", "day is today", "day it is", "what is today", "date is it", "whats the date", "what is the date", "todays date"}, answer: today},
		{phrases: []string{"the date", "what day", "date"}, whole: true, answer: today},
		{phrases: []string{"year is it", "year it is"}, answer: func(q *question) string { return "It is " + q.Now.Format("2006") + "." }},
		{phrases: []string{"month is it", "month it is"}, answer: func(q *question) string { return "It is " + q.Now.Format("January") + "." }},
		{phrases: []string{"your battery", "the battery", "battery level", "battery status", "much battery", "how much power", "your charge"}, answer: battery},
		{phrases: []string{"how long have you been", "uptime"}, answer: func(q *question) string {
			return "I have been awake for " + span(q.Now.Sub(q.Started)) + "."
		}},
		{phrases: []string{"your status", "system status", "status report", "are you ok", "are you okay", "whats wrong", "what is wrong",
			"diagnostics", "are all systems", "how are your systems"}, answer: status},
		{phrases: []string{"status", "report"}, whole: true, answer: status},
		{phrases: []string{"how are you", "how do you do", "how is it going", "hows it going", "how do you feel"}, answer: feeling},
		{phrases: []string{"what can you do", "what do you do", "what are you able", "your commands", "your tools", "which commands", "what commands",
			"which tools", "what tools", "your abilities", "what moves"}, answer: abilities},
		{phrases: []string{"help", "help me"}, whole: true, answer: abilities},
		{phrases: []string{"setting", "settings", "level", "parameter"}, answer: setting},
		{phrases: []string{"who are you", "what are you", "your name", "introduce yourself"}, answer: func(q *question) string {
			return q.pick(manners{
				"I am {name}, your robot. My language model is out, so I answer from what I have on board.", "I am {name}.",
				"I am {name}. What you see is what was in the budget.", "My name is {name}. I am your robot.",
			})
		}},
		{phrases: []string{"are you there", "can you hear me", "do you hear me", "are you awake", "are you listening"}, answer: say(manners{
			"Yes, I hear you.", "I hear you.", "I am here. Where would I go?", "Yes, I am listening.",
		})},
		{phrases: []string{"are you human", "are you alive", "are you a robot", "are you real"}, answer: say(manners{
			"No, I am a robot.", "I am a robot.", "I am a robot. The screws give it away.", "I am a machine.",
		})},
		{phrases: []string{"who made you", "who built you", "who created you"}, answer: say(manners{
			"People with screwdrivers and patience.", "", "People with screwdrivers and patience. Mostly patience.", "I was built by my owner.",
		})},
		{phrases: []string{"joke", "make me laugh", "something funny"}, answer: joke},
		{phrases: []string{"thank you", "thanks", "thank you very much"}, answer: say(manners{
			"You are welcome.", "", "You are welcome. I will add it to your bill.", "You are most welcome.",
		})},
		{phrases: []string{"good night", "goodbye", "good bye", "bye", "see you", "bye bye"}, answer: say(manners{
			"Goodbye.", "", "Goodbye. I will be here, being a robot.", "Goodbye. Have a pleasant day.",
		})},
		{phrases: []string{"sorry", "im sorry", "i am sorry", "my mistake"}, whole: true, answer: say(manners{
			"No harm done.", "", "Apology filed under: rare.", "Please do not mention it.",
		})},
		{phrases: []string{"good job", "well done", "good robot", "i like you", "i love you", "you are great", "youre great", "nice work"}, answer: say(manners{
			"Thank you. That is good to hear.", "Thank you.", "Thank you. I will play that back on bad days.", "Thank you, you are very kind.",
		})},
		{phrases: []string{"you are stupid", "youre stupid", "stupid robot", "i hate you", "you are useless", "youre useless"}, answer: say(manners{
			"I will try to do better.", "Noted.", "Noted. My feelings module is optional anyway.", "I regret that. I will try to do better.",
		})},
		{phrases: []string{"meaning of life"}, answer: say(manners{
			"I do not know. Opinions differ, and I am only a robot.", "I do not know.", "Forty-two, says a book. I only do sums.", "That is beyond a robot.",
		})},
		{phrases: []string{"remember that", "remember this", "dont forget that", "keep in mind"}, answer: keep},
		{phrases: []string{"yes", "no", "yeah", "nope", "sure", "all right", "alright", "never mind", "nevermind", "nothing", "stop", "be quiet"}, whole: true,
			answer: say(manners{"All right.", "", "", "Very well."})},
	}
}

// say makes a rule's answer of fixed manners.
func say(m manners) func(*question) string {
	return func(q *question) string { return q.pick(m) }
}

func today(q *question) string { return "It is " + q.Now.Format("Monday, 2 January 2006") + "." }

func clock(q *question) string {
	return "It is " + q.Now.Format("3:04 PM") + "."
}

func battery(q *question) string {
	b := q.Battery
	switch {
	case b.At.IsZero():
		return "I have no reading of my battery."
	case b.Low && b.Detail != "":
		return fmt.Sprintf("My battery is low. The last report, from %s, says: %s.", when(b.At, q.Now), strings.TrimRight(b.Detail, "."))
	case b.Low:
		return fmt.Sprintf("My battery is low, as of %s.", when(b.At, q.Now))
	}
	return fmt.Sprintf("My battery was fine %s.", when(b.At, q.Now))
}

// status tells how the parts are: the number that works, and what is wrong with the others.
func status(q *question) string {
	if len(q.Parts) == 0 {
		return "I hear nothing from my parts, so I cannot tell."
	}
	var bad []string
	for _, p := range q.Parts {
		if p.OK {
			continue
		}
		what := "The " + p.Name + " does not work"
		if p.Err != "" {
			what += ": " + strings.TrimRight(p.Err, ".")
		}
		bad = append(bad, what+".")
	}
	ok := len(q.Parts) - len(bad)
	var out string
	switch {
	case len(bad) == 0 && ok == 1:
		out = "The one part that I hear from works."
	case len(bad) == 0:
		out = fmt.Sprintf("All %d of my parts work.", ok)
	default:
		out = fmt.Sprintf("%d of my %d parts work. %s", ok, len(q.Parts), strings.Join(bad[:min(3, len(bad))], " "))
	}
	if q.Battery.Low {
		out += " My battery is low."
	}
	if q.Model != "" {
		out += " I cannot reach my language model."
	}
	return out
}

func feeling(q *question) string {
	bad := slices.ContainsFunc(q.Parts, func(p Part) bool { return !p.OK })
	if bad || q.Battery.Low {
		return "I have been better. " + status(q)
	}
	return q.pick(manners{
		"I am fine, thank you.", "Fine.", "Fine. All screws tight, thank you for asking.", "I am well, thank you for asking.",
	})
}

// abilities says what the robot can do without its model, and what it has moves for.
func abilities(q *question) string {
	out := "I can tell the time, do sums, report how I am, and answer from my memory."
	if n := len(q.Commands); n > 0 {
		names := make([]string, 0, 6)
		for _, c := range q.Commands[:min(n, 6)] {
			names = append(names, strings.ReplaceAll(c, "_", " "))
		}
		out += fmt.Sprintf(" I know %s, such as %s.", count(n, "move"), list(names))
	}
	if n := len(q.Tools); n > 0 {
		out += fmt.Sprintf(" With my language model I could also use %s, such as %s.", count(n, "tool"), list(q.Tools[:min(n, 3)]))
	}
	return out
}

// setting tells a trait that the question names.
func setting(q *question) string {
	best := ""
	for name := range q.Traits {
		words := strings.ReplaceAll(strings.ToLower(name), "_", " ")
		if strings.Contains(q.plain, " "+words+" ") && (len(name) > len(best) || len(name) == len(best) && name < best) {
			best = name
		}
	}
	if best == "" {
		return ""
	}
	words := strings.ReplaceAll(strings.ToLower(best), "_", " ")
	return fmt.Sprintf("My %s is at %s percent.", words, figure(math.Round(q.Traits[best])))
}

func joke(q *question) string {
	if q.trait("humor") <= little {
		return "I am set not to joke."
	}
	jokes := []string{
		"I would tell you a joke about UDP, but you might not get it.",
		"Why did the robot cross the road? It was carbon bonded to the chicken.",
		"I told my servos to relax. They have been twitching ever since.",
		"There are ten kinds of people: those who count in binary, and those who do not.",
	}
	return jokes[q.turn%len(jokes)]
}

// keep answers a request to remember. What is said is kept by the memory service, if it works.
func keep(q *question) string {
	if first, _, _ := strings.Cut(strings.TrimSpace(q.plain), " "); first != "remember" && first != "dont" && first != "keep" {
		return "" // such as: do you remember that
	}
	return note(q)
}

// tells reports whether somebody tells something about themselves, and asks nothing.
func (q *question) tells() bool {
	words := strings.Fields(q.plain)
	if len(words) < 3 || strings.HasSuffix(q.text, "?") {
		return false
	}
	switch words[0] {
	case "my", "our", "i", "im", "ive", "we", "weve":
		return true
	}
	return false
}

// note says whether what was said is kept.
func note(q *question) string {
	for _, p := range q.Parts {
		if p.Name == "memory" && p.OK {
			return q.pick(manners{"I will remember that.", "Noted.", "Noted. I never forget, which is not always nice.", "I have made a note of that."})
		}
	}
	return "My memory is not running, so I cannot keep that."
}

// list joins words as people say them.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// count says how many there are of something.
func count(n int, unit string) string {
	if n == 1 {
		return "one " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// span says how long something takes, roughly.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return count(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return count(int(d/time.Hour), "hour")
	}
	return count(int(d/(24*time.Hour)), "day")
}

// when says when something was, as people do.
func when(at, now time.Time) string {
	at = at.In(now.Location())
	y, m, d := now.Date()
	midnight := time.Date(y, m, d, 0, 0, 0, 0, now.Location())
	switch {
	case !at.Before(midnight):
		return "today at " + at.Format("3:04 PM")
	case !at.Before(midnight.AddDate(0, 0, -1)):
		return "yesterday"
	case at.After(midnight.AddDate(0, 0, -6)):
		return "on " + at.Format("Monday")
	case at.Year() == y:
		return "on " + at.Format("2 January")
	}
	return "on " + at.Format("2 January 2006")
}

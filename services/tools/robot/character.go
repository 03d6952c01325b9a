package robot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/tools/tool"
)

// characterTools are those of the reference. There they were ignored, because what they published
// lacked section and action, and the traits never came back.
func (r *Robot) characterTools() []tool.Tool {
	return []tool.Tool{
		{
			Server: Character, Name: "adjust_personality_trait", Writes: true, Do: r.adjust, Timeout: answerWait + 2*time.Second,
			Doc: "Set one trait of the robot's personality, such as humor or honesty, for good.",
			Schema: object(fields{
				{"trait_name", text("Name of the trait, such as humor; get_current_traits lists them.", 64)},
				{"new_value", whole("0 is not at all, 100 is fully.", 0, 100)},
			}, "trait_name", "new_value"),
		},
		{
			Server: Character, Name: "get_current_traits", Do: r.traits, Timeout: answerWait + 2*time.Second, Schema: object(nil),
			Doc: "Tell the traits of the robot's personality with their values, 0 to 100.",
		},
		{
			Server: Character, Name: "reset_all_traits", Writes: true, Do: r.reset, Timeout: answerWait + 2*time.Second, Schema: object(nil),
			Doc: "Set all traits of the robot's personality back to those of its file.",
		},
	}
}

func (r *Robot) adjust(ctx context.Context, args tool.Args) (tool.Result, error) {
	name, value := strings.TrimSpace(args.Text("trait_name")), int(args.Number("new_value", 0))
	if name == "" {
		return tool.Result{}, errors.New("trait_name is blank")
	}
	return r.update(ctx, contract.UpdateCharacter{Trait: &contract.SetTrait{Section: "traits", Trait: name, Value: value}},
		fmt.Sprintf("%s is now %d.", name, value))
}

func (r *Robot) reset(ctx context.Context, _ tool.Args) (tool.Result, error) {
	return r.update(ctx, contract.UpdateCharacter{Reset: &contract.ResetTraits{Action: "reset_traits"}}, "All traits are as in the file.")
}

// update changes the persona, and reads in the answer whether it was done.
func (r *Robot) update(ctx context.Context, u contract.UpdateCharacter, done string) (tool.Result, error) {
	if err := r.need(ctx, "persona to change", "memory", "tars-memory"); err != nil {
		return tool.Result{}, err
	}
	a, err := ask(ctx, r, contract.CharacterUpdate, contract.CharacterResult, u)
	if err != nil {
		return tool.Result{}, err
	}
	traits, err := traitsOf(a)
	if err != nil {
		return tool.Result{}, err
	}
	return tool.Result{Text: done, Data: map[string]any{"success": true, "traits": traits}}, nil
}

// traitsOf are the traits in an answer, or the error that stands in their place.
func traitsOf(a contract.CharacterAnswer) (map[string]any, error) {
	if a.Character != nil {
		return a.Character.Traits, nil
	}
	if a.Section == nil {
		return nil, errors.New("the answer is empty")
	}
	v, _ := a.Section.Value.(map[string]any)
	why, failed := v["error"].(string)
	if !failed {
		return v, nil
	}
	if list, ok := v["available"].([]any); ok {
		names := make([]string, 0, len(list))
		for _, x := range list {
			names = append(names, fmt.Sprint(x))
		}
		return nil, fmt.Errorf("%s; there are %s", why, tool.Cut(strings.Join(names, ", "), 1000))
	}
	return nil, errors.New(why)
}

// traits come from the retained persona.
func (r *Robot) traits(ctx context.Context, _ tool.Args) (tool.Result, error) {
	r.await(ctx, func() bool { return r.persona != nil })
	r.mu.Lock()
	p := r.persona
	r.mu.Unlock()
	if p == nil {
		return tool.Result{}, errors.New("the robot's persona is not known: its memory is not running")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Traits of %s:", p.Name)
	for _, name := range slices.Sorted(maps.Keys(p.Traits)) {
		fmt.Fprintf(&b, " %s: %v;", name, p.Traits[name])
	}
	return tool.Result{Text: strings.TrimRight(b.String(), ";"), Data: map[string]any{"success": true, "name": p.Name, "traits": p.Traits}}, nil
}

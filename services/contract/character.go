package contract

// The persona.
var (
	CharacterGet = Topic[GetCharacter]{Spec{
		Name: "character/get", Type: "character.get", Aliases: []string{"memory.character.get"}, QoS: 1,
		Publishers: []string{"llm", "page"}, Subscribers: []string{"memory"},
		Doc: "Ask for the persona or a part of it. Not deduplicated: it changes nothing, and who asks again wants an answer.",
	}}
	CharacterResult = Topic[CharacterAnswer]{Spec{
		Name: "character/result", Type: "character.result", QoS: 1,
		Publishers: []string{"memory"}, Subscribers: []string{"llm", "tools", "page"},
		Doc: "Answer to character/get and character/update: the whole persona, or one section.",
	}}
	CharacterUpdate = Topic[UpdateCharacter]{Spec{
		Name: "character/update", Type: "character.update", Aliases: []string{"character.trait.update", "character.trait.reset"}, QoS: 1, Dedup: true,
		Publishers: []string{"llm", "tools", "page"}, Subscribers: []string{"memory"},
		Doc: "Set a trait, or all of them back to the file. Deduplicated: a late repeat would undo a newer one.",
	}}
	CharacterCurrent = Topic[Character]{Spec{
		Name: "system/character/current", Type: "system.character.current", QoS: 1, Retain: true,
		Publishers: []string{"memory"}, Subscribers: []string{"llm", "tools", "page"},
		Doc: "The persona as it is. Retained state: a repeat changes nothing.",
	}}
)

// GetCharacter asks for the persona.
type GetCharacter struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	Section   *string `json:"section" doc:"one section only"`
}

// CharacterAnswer is the persona or one section of it.
type CharacterAnswer struct {
	_         struct{}          `contract:"union"`
	Section   *CharacterSection `when:"section"`
	Character *Character        `when:"name"`
}

// Character is the persona.
type Character struct {
	MessageID    string  `json:"message_id" contract:"id" doc:"own id"`
	Name         string  `json:"name" contract:"required" doc:"its name"`
	Description  *string `json:"description" doc:"what it is"`
	SystemPrompt *string `json:"systemprompt" doc:"first part of the prompt"`
	Traits       Object  `json:"traits" doc:"traits, mostly 0 to 100"`
	Voice        Object  `json:"voice" doc:"voice_id, rate, pitch"`
	Meta         Object  `json:"meta" doc:"about the file"`
	Scenario     Object  `json:"scenario" doc:"world and context"`
	Notes        Object  `json:"personality_notes" doc:"guidelines"`
	Examples     Object  `json:"example_interactions" doc:"how it talks"`
}

// CharacterSection is one section of the persona.
type CharacterSection struct {
	MessageID string `json:"message_id" contract:"id" doc:"own id"`
	Section   string `json:"section" contract:"required" doc:"its name"`
	Value     any    `json:"value" contract:"null" kinds:"object,string" doc:"what it holds"`
}

// UpdateCharacter changes the persona.
type UpdateCharacter struct {
	_     struct{}     `contract:"union"`
	Reset *ResetTraits `when:"action,reset_all"`
	Trait *SetTrait
}

// SetTrait sets one trait. The legacy tool server leaves section out.
type SetTrait struct {
	MessageID string `json:"message_id" contract:"id" doc:"own id"`
	Section   string `json:"section" default:"traits" enum:"traits" doc:"always traits"`
	Trait     string `json:"trait" contract:"required" doc:"its name"`
	Value     int    `json:"value" contract:"required,numeric" min:"0" max:"100" doc:"how much"`
}

// ResetTraits sets all traits back to the file's.
type ResetTraits struct {
	MessageID string `json:"message_id" contract:"id" doc:"own id"`
	Action    string `json:"action" default:"reset_traits" enum:"reset_traits" doc:"always reset_traits"`
	ResetAll  *bool  `json:"reset_all" contract:"drop" doc:"what the legacy tool server sends instead of action; read, not sent"`
}

// Check refuses reset_all: false, which means nothing.
func (r *ResetTraits) Check() error {
	if r.ResetAll != nil && !*r.ResetAll {
		return &Error{Field: "reset_all", Value: "false", Problem: "want true"}
	}
	return nil
}

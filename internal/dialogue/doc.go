// Package dialogue judges whole dialogues: tarsd as a process of its own with its services, spoken to over
// MQTT only, by peers that play the wake word, the microphone, the keyboard, the page and the voice, and
// with a model's server that does what a script says (services/llm/llmtest).
//
// # Scripts
//
// Each file in testdata is a dialogue: one step a line, # begins a comment. TestDialogues plays all of them
// side by side, each with a tarsd of its own.
//
//	set KEY=VALUE          configuration, in the head of the script
//	covers WORDS           what the script is about, out of the list in script_test.go
//	mute                   nobody plays the voice
//
//	wake [KIND]            an event of the wake service
//	hear TEXT              somebody says something; hear@ORIGIN names the microphone
//	type TEXT              somebody types something; type@ORIGIN names the page
//	partial TEXT           somebody is speaking
//	publish TOPIC PAYLOAD  any message, as it is
//	model PARTS            what the model's server does with the next request: say, words, whole, wait NAME, stall,
//	                       cut, raw, event, huge, endless, fail STATUS TEXT HEADERS, call TOOL ARGUMENTS, silence
//	open NAME              lets the parts go on that wait for it
//	tool NAME SCHEMA => RESULT   offers a tool; its result may be "error WHY" or "nothing"
//	voice hold|go|off|on   speech does not end; ends; is not made at all; is made again
//	restart, kill          SIGTERM or SIGKILL, and a new start with the same data
//	quiet DURATION         nothing is said for that long
//
//	> say TEXT             the next thing that is said; * stands for anything, say@ORIGIN is to whom
//	> ask, move, halt, release, call   the next of these likewise
//	> state STATE REASON   a later state of the dialogue
//	> control, cancel, response, voice, motion, added, forgotten, persona, health   a later one of these
//	> told TEXT            the last line of the next request at the model's server
//	> context TEXT, > unaware TEXT     all lines of that request; what they must not hold
//	> gone N               clients that have left the model's server in the middle of an answer
//
// What is said, asked and moved has to be in the script, all of it and in its order. Beside that a watcher
// holds every dialogue to rules: no state lasts more than a second beyond its deadline, and idle has none;
// each request to the model gets exactly one response; each stream counts without a gap and ends exactly once;
// nothing is said of a turn that was stopped or superseded, or it is stopped in the same moment; orders and
// answers come at QoS 1.
//
// TestStopLatency and TestTurnOverhead measure; their figures are in docs/dialogue.md.
//
// # Defects of the replaced system
//
// Each item of the lists of what must not be inherited (router 9, llm 10, memory 9), and what holds it off: a
// script of this package, or a test of another one. TestDefectsHaveTests checks that they are there.
//
//	router 1   wake phrase never taken off; greeting before all   services/router TestWakePhraseIsStripped, TestMemoryAndPersona; wake.txt
//	router 2   motions by substring, never published, no stop      services/router TestCommandsAreWholeUtterances, TestMotionByVoice, TestMotionThatFails; stop.txt
//	router 3   health of hearing under another name                services/router TestHealthOfBeforeIsHeard; hooks/health TestNames; announce.txt
//	router 4   readiness for ever; a second health topic stays up  services/router TestHealthOfBeforeIsHeard; hooks/health TestEitherGenerationFindsTheOther, TestDeaths
//	router 5   question twice, no answers, unbounded, not cleared  services/router TestStreamedAnswer, TestHistory, TestForgetForgetsTheConversationToo; wake.txt, memory.txt
//	router 6   errors of the model are silent; requests leak       services/router TestErrorsAreSpoken, TestRequestsAreBounded, FuzzDialogue; errors.txt, slow.txt, impatient.txt
//	router 7   announcements open the window; its fixed length     services/router TestAnnouncement; announce.txt, wake.txt
//	router 8   the response overtakes its stream                   services/router TestAnswersAreHeardInOrder, TestResponseOvertakesItsStream; errors.txt
//	router 9   a difference speaks all of it again                 services/router TestReconciliation, TestSequenceOfDeltas
//	router 10  sentences cut in decimals, addresses, times         services/router TestSplitting, FuzzSplit; wake.txt
//	router 11  retained health missed at the start                 services/router TestHealthOfBeforeIsHeard; services/client TestSubscriptionsStandBeforeMessagesGo
//
//	llm 1      memory never answers; one at a time; no cancel, no timeout   services/llm TestMemoryReachesTheModel, TestASilentMemoryCostsNoMoreThanItsWait, TestConcurrentTurnsAndTheQueue, TestCancelStopsTheStreamOnTheWire; services/llm/openai TestTimeoutsAreOfTheSilenceNotOfTheAnswer; memory.txt, two.txt, stop.txt, slow.txt
//	llm 2      tools not while streaming, one round, no limits, two servers  services/llm TestToolsInAStream, TestLimitsOfTools, TestAToolThatDoesNotAnswer; services/llm/openai TestToolCalls; internal/app TestServersOfTheConfiguration; tools.txt
//	llm 3      registry not published, results not read, names drift         services/tools TestRegistry, TestOneResultForEachCall; services/llm TestToolbox, TestResultText; tools.txt
//	llm 4      streams without an end, requests unanswered, QoS 0           services/llm TestEveryErrorEndsTheStreamAndIsASentence, TestBrokenRequestsAreAnswered, TestStopAnswersWhatIsUnderWay; the watcher, in all scripts; errors.txt
//	llm 5      question twice, tokens by words, braces in templates         services/llm TestConversation, TestTokens, TestFit, TestTemplates; wake.txt
//	llm 6      health under another name, names of variables                services/llm TestHealthNamesProviderModelAndBreaker; internal/config TestLLMTakesTheNamesOfTheReplacedSystem
//	llm 7      an error stored as the persona's section                     services/llm TestPersonaUpdates; persona.txt
//
//	memory 1   ids and nulls in the index; no times, no roles      services/memory TestOnlyWordsAreIndexed, TestDocument, TestWhatIsKept
//	memory 2   acknowledgements kept; a question finds itself      services/memory TestWhatIsKept, TestNotItsOwnHit; wake.txt, memory.txt
//	memory 3   all written again for each line; not atomic; no bound   services/memory TestReopen, TestDamagedRecordIsLeftOut, TestBounds, TestForgetMany; memory.txt
//	memory 4   strategies that are not what they are called        services/memory TestSimilarityIsNotHybrid, TestRecent, TestBudget, TestContext
//	memory 5   no reply to blank and broken queries; ill for ever  services/memory TestSalvage, TestHealth, TestDiskTrouble
//	memory 6   traits lost, not answered, invented; one id         services/memory TestTraits; persona.txt
//	memory 7   the persona before the subscriptions; QoS 0         services/memory TestTraits; the watcher, in all scripts
//	memory 8   a variable with two meanings                        internal/config TestLLMTakesTheNamesOfTheReplacedSystem
package dialogue

package health

import "testing"

func TestStories(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"one of our services: all of its life": `
			+tars-stt will
			= stt connected
			tars-stt: stt ok ready
			= stt ready
			> tars-stt ok ready
			tars-stt: stt bad shutdown
			> tars-stt bad shutdown
			~tars-stt
			wait 1h
			= stt shutdown
			>`,
		"a will is enough, and says it under the other name too": `
			+tars-stt will
			tars-stt: stt ok ready
			> tars-stt ok ready
			-tars-stt
			will tars-stt stt disconnected
			> tars-stt bad disconnected
			wait 1h
			= stt disconnected
			>`,
		"one that speaks for itself is not declared ready when it is back": `
			+tars-stt will
			tars-stt: stt ok ready
			> tars-stt ok ready
			-tars-stt
			will tars-stt stt disconnected
			> tars-stt bad disconnected
			+tars-stt will
			wait 1m
			= stt connected
			>
			tars-stt: stt ok reconnected
			= stt reconnected
			> tars-stt ok reconnected
			>`,
		"a legacy service that dies without a will": `
			+tars-llm
			tars-llm: tars-llm ok ready
			> llm ok ready
			-tars-llm
			= llm disconnected
			>
			wait 1s
			> llm bad disconnected
			> tars-llm bad disconnected
			wait 1h
			>`,
		"a legacy service that comes back": `
			+tars-llm
			tars-llm: tars-llm ok ready
			> llm ok ready
			-tars-llm
			wait 1s
			> llm bad disconnected
			> tars-llm bad disconnected
			+tars-llm
			tars-llm: tars-llm ok ready
			> llm ok ready
			wait 1m
			= llm ready
			>`,
		"a connection that is replaced at once is no loss worth a message": `
			+tars-llm
			tars-llm: tars-llm ok ready
			> llm ok ready
			-tars-llm
			+tars-llm
			wait 1m
			= llm reconnected
			>`,
		"firmware that reconnects and says nothing": `
			+tars-esp32
			tars-esp32. movement-esp32 ok ready
			> movement-controller ok ready
			> tars-esp32 ok ready
			-tars-esp32
			wait 1s
			> movement-esp32 bad disconnected bare
			> movement-controller bad disconnected
			> tars-esp32 bad disconnected
			+tars-esp32
			= movement-esp32 reconnected
			wait 1s
			> movement-esp32 ok reconnected bare
			> movement-controller ok reconnected
			> tars-esp32 ok reconnected
			wait 1h
			>`,
		"the device's profile speaks for it: nothing to add": `
			+tars-esp32
			tars-esp32. movement-esp32 ok ready
			> movement-controller ok ready
			> tars-esp32 ok ready
			-tars-esp32
			server. movement-esp32 bad disconnected
			> movement-controller bad disconnected
			> tars-esp32 bad disconnected
			wait 1m
			>
			+tars-esp32
			server. movement-esp32 ok reconnected
			= movement-esp32 reconnected
			> movement-controller ok reconnected
			> tars-esp32 ok reconnected
			wait 1m
			>`,
		"frame_timeout is not down": `
			+tars-esp32
			tars-esp32. movement-esp32 ok ready
			> movement-controller ok ready
			> tars-esp32 ok ready
			wait 300s
			tars-esp32. movement-esp32 bad frame_timeout
			= movement-esp32 ready
			wait 1s
			> movement-esp32 ok ready bare
			wait 1h
			>`,
		"heartbeats that stop": `
			+tars-llm
			tars-llm: tars-llm ok ready
			> llm ok ready
			beat tars-llm
			wait 5s
			beat tars-llm
			wait 15s
			= llm ready
			wait 1s
			= llm stale
			wait 1s
			> llm bad stale
			> tars-llm bad stale
			wait 1h
			>
			beat tars-llm
			= llm ready
			wait 1s
			> llm ok ready
			> tars-llm ok ready
			-tars-llm
			wait 1s
			> llm bad disconnected`,
		"a slow heart is learned": `
			+tars-llm
			tars-llm: tars-llm ok ready
			beat tars-llm
			wait 14s
			beat tars-llm
			wait 14s
			beat tars-llm
			wait 42s
			= llm ready
			wait 5s
			= llm stale`,
		"one long gap does not change the pace": `
			+tars-llm
			tars-llm: tars-llm ok ready
			beat tars-llm
			wait 5s
			beat tars-llm
			wait 5s
			beat tars-llm
			wait 14s
			beat tars-llm
			wait 17s
			= llm stale`,
		"who sends no heartbeats is never stale": `
			+tars-router
			tars-router: router ok ready
			wait 24h
			= router ready`,
		"a health message is a sign of life too": `
			+tars-llm
			tars-llm: llm ok ready
			beat tars-llm
			wait 12s
			tars-llm: llm ok ready
			wait 12s
			= llm ready`,
		"an error of ours holds until it is taken back": `
			+tars-camera will
			tars-camera: camera ok ready
			tars-camera: camera bad no_camera unplugged
			= camera error
			> tars-camera ok ready
			> tars-camera bad no_camera
			wait 1h
			= camera error
			>
			tars-camera: camera ok ready
			= camera ready
			> tars-camera ok ready
			>`,
		"an error of an older peer is over after a while": `
			+tars-memory
			tars-memory: memory ok ready
			tars-memory: memory bad oops
			= memory error
			> tars-memory ok ready
			> tars-memory bad oops
			wait 59s
			= memory error
			wait 2s
			= memory ready
			> memory ok ready
			> tars-memory ok ready
			wait 1h
			>`,
		"an error does not survive its peer": `
			+tars-memory
			tars-memory: memory bad oops
			-tars-memory
			wait 1s
			> tars-memory bad oops
			> memory bad disconnected
			> tars-memory bad disconnected`,
		"the legacy movement service and a bad command of somebody else": `
			+tars-movement
			tars-movement: tars-movement ok ready
			> movement ok ready
			> movement-service ok ready
			tars-movement: tars-movement bad invalid_command
			= movement ready
			wait 1s
			> tars-movement ok ready
			wait 1h
			>`,
		"a supervisor restarts a service": `
			+tars-stt will
			tars-stt: stt ok ready
			> tars-stt ok ready
			tars-stt: stt bad restarting engine failed
			= stt restarting
			> tars-stt bad restarting
			~tars-stt
			= stt restarting
			wait 10s
			+tars-stt will
			= stt connected
			tars-stt: stt ok ready
			= stt ready
			> tars-stt ok ready
			>`,
		"a supervisor of its own speaks for a service that has gone": `
			+tars-stt will
			+boss
			tars-stt: stt ok ready
			> tars-stt ok ready
			tars-stt: stt bad shutdown
			> tars-stt bad shutdown
			~tars-stt
			boss: stt bad restarting panic
			= stt restarting
			> tars-stt bad restarting
			+tars-stt will
			tars-stt: stt ok ready
			= stt ready
			> tars-stt ok ready
			~boss
			= stt ready
			wait 1m
			>`,
		"restarting for ever is gone": `
			+tars-stt will
			tars-stt: stt ok ready
			> tars-stt ok ready
			tars-stt: stt bad restarting panic
			> tars-stt bad restarting
			-tars-stt
			wait 6m
			= stt disconnected
			> stt bad disconnected
			> tars-stt bad disconnected`,
		"shutdown counts for the connection on which it was said": `
			+tars-tts
			tars-tts: tars-tts ok ready
			tars-tts: tars-tts bad shutdown
			~tars-tts
			= tts shutdown
			+tars-tts
			-tars-tts
			= tts disconnected`,
		"left without a word": `
			+tars-tts
			tars-tts: tts ok ready
			> tars-tts ok ready
			~tars-tts
			= tts disconnected
			wait 1s
			> tts bad disconnected
			> tars-tts bad disconnected`,
		"two topics of one legacy service: the latest counts": `
			+tars-memory
			tars-memory: tars-memory ok ready
			> memory ok ready
			tars-memory: memory ok started
			> tars-memory ok started
			tars-memory: tars-memory bad shutdown
			> memory bad shutdown
			~tars-memory
			wait 1m
			= memory shutdown
			>`,
		"an old and a new version at once": `
			+wake-activation
			wake-activation: wake-activation ok ready
			> wake ok ready
			+tars-wake will
			= wake ready
			tars-wake: wake ok ready
			= wake ready
			> wake-activation ok ready
			-tars-wake
			will tars-wake wake disconnected
			= wake ready
			wait 1s
			> wake ok ready
			-wake-activation
			wait 1s
			= wake disconnected
			> wake bad disconnected
			> wake-activation bad disconnected
			>`,
		"a tool that says something and goes": `
			+mosqpub
			mosqpub: garden ok ready
			= garden ready
			~mosqpub
			wait 1h
			= garden ready
			>`,
		"a foreign client that dies takes its peer with it": `
			+bridge
			bridge: garden ok ready
			bridge: pond ok ready
			-bridge
			wait 1s
			= garden disconnected
			= pond disconnected
			> garden bad disconnected
			> pond bad disconnected
			+bridge
			= garden reconnected
			wait 1s
			> garden ok reconnected
			> pond ok reconnected`,
		"a client that never speaks of its health": `
			+tars-ui
			= ui connected
			-tars-ui
			wait 1h
			= ui disconnected
			>`,
		"heartbeats alone, without a will": `
			+tars-stt
			beat tars-stt
			= stt ready
			wait 1s
			> stt ok ready
			> tars-stt ok ready`,
		"heartbeats alone of one with a will are not ready": `
			+tars-stt will
			beat tars-stt
			wait 1s
			= stt connected
			>`,
		"cleared by its owner": `
			+tars-tts
			tars-tts: tts ok ready
			> tars-tts ok ready
			-tars-tts
			wait 1s
			> tts bad disconnected
			> tars-tts bad disconnected
			clear tars-tts
			> tts cleared
			= tts unknown
			wait 1h
			>`,
		"cleared while it is there": `
			+tars-tts
			tars-tts: tts ok ready
			> tars-tts ok ready
			clear tts
			> tars-tts cleared
			wait 1h
			= tts connected
			>`,
		"an unknown name with the prefix is found under both": `
			+tars-eink
			tars-eink: tars-eink ok ready
			= eink ready
			> eink ok ready`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newStory(t, nil).run(script)
		})
	}
}

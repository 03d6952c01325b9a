package contract

// The camera.
var (
	CameraCapture = Topic[Capture]{Spec{
		Name: "camera/capture", Type: "camera.capture", QoS: 1, Dedup: true,
		Publishers: []string{"llm", "tools", "page"}, Subscribers: []string{"camera"},
		Doc: "Take a picture. Deduplicated: a repeat would take another one.",
	}}
	CameraImage = Topic[Image]{Spec{
		Name: "camera/image", Type: "camera.image", QoS: 1,
		Publishers: []string{"camera"}, Subscribers: []string{"llm", "tools", "page"},
		Doc: "The picture that was asked for, or why there is none. A repeat finds nobody waiting.",
	}}
	CameraStatus = Topic[CameraUpdate]{Spec{
		Name: "camera/status", Type: "camera.status", QoS: 1,
		Publishers: []string{"camera"}, Subscribers: []string{"page"},
		Doc: "What the camera does. A repeat is only seen twice.",
	}}
	CameraFrame = Topic[VideoFrame]{Spec{
		Name: "camera/frame", Type: "camera.frame",
		Publishers: []string{"camera"}, Subscribers: []string{"page"},
		Doc: "Pictures a few times a second, as base64 for legacy peers; off by default.",
	}}
	CameraJPEG = Topic[[]byte]{Spec{
		Name: "camera/jpeg", Type: "camera.jpeg", Form: Raw,
		Reason:     "a JPEG is bytes; base64 is a third more",
		Publishers: []string{"camera"}, Subscribers: []string{"page"},
		Doc: "Pictures as often as camera/view asks, one JPEG a message. User properties: taken (Unix seconds), number (counts up), and when there are no new pictures stale (seconds since the last one, +Inf if there never was one).",
	}}
	CameraView = Topic[ViewCamera]{Spec{
		Name: "camera/view", Type: "camera.view",
		Publishers: []string{"page"}, Subscribers: []string{"camera"},
		Doc: "Somebody looks: pictures are wanted on camera/jpeg. Not deduplicated: each message only holds the demand for a while.",
	}}
	CameraMotion = Topic[Motion]{Spec{
		Name: "camera/motion", Type: "camera.motion", QoS: 1,
		Publishers: []string{"camera"}, Subscribers: []string{"router", "page"},
		Doc: "Something begins or ceases to move before the camera. A repeat is only seen twice.",
	}}
)

// User properties of camera/jpeg.
const (
	PropTaken  = "taken"  // Unix seconds
	PropNumber = "number" // counts up
	PropStale  = "stale"  // seconds since the last picture; only when there are no new ones
)

// ViewCamera asks for pictures on camera/jpeg for a while. New sets the defaults.
type ViewCamera struct {
	FPS    float64 `json:"fps" default:"10" min:"0.1" max:"60" doc:"pictures a second; the fastest viewer is served, up to what the camera takes"`
	HoldMS int     `json:"hold_ms" default:"5000" min:"100" max:"60000" doc:"milliseconds; ask again before they are over"`
}

// Capture asks for a picture. New sets the defaults.
type Capture struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	Timestamp float64 `json:"timestamp" contract:"now" doc:"Unix seconds"`
	RequestID string  `json:"request_id" contract:"id" doc:"the picture carries it"`
	Format    string  `json:"format" default:"jpeg" enum:"jpeg,png,raw" doc:"of the picture; raw is RGB"`
	Quality   int     `json:"quality" default:"85" min:"1" max:"100" doc:"of a JPEG"`
	Width     *int    `json:"width" min:"1" max:"16384" doc:"pixels; null as the camera has it"`
	Height    *int    `json:"height" min:"1" max:"16384" doc:"pixels; null as the camera has it"`
	Purpose   *string `json:"purpose" doc:"what for"`
}

// Image is a picture, or why there is none.
type Image struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	Timestamp float64 `json:"timestamp" contract:"now" doc:"Unix seconds"`
	RequestID string  `json:"request_id" contract:"required" doc:"of the request"`
	ImageData []byte  `json:"image_data" contract:"required" doc:"the picture in base64, empty on failure"`
	Format    string  `json:"format" contract:"required" doc:"of the picture"`
	Width     int     `json:"width" contract:"required" min:"0" doc:"pixels, 0 on failure"`
	Height    int     `json:"height" contract:"required" min:"0" doc:"pixels, 0 on failure"`
	SizeBytes int     `json:"size_bytes" contract:"required" min:"0" doc:"of the picture, before base64"`
	Success   bool    `json:"success" default:"true" doc:"there is a picture"`
	Error     *string `json:"error" doc:"why there is none"`
	Purpose   *string `json:"purpose" doc:"as asked"`
	Captured  float64 `json:"capture_timestamp" contract:"now" doc:"Unix seconds when it was taken"`
}

// CameraUpdate is what the camera reports.
type CameraUpdate struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	Timestamp float64 `json:"timestamp" contract:"now" doc:"Unix seconds"`
	Event     string  `json:"event" contract:"required" enum:"camera_ready,camera_unavailable,capture_started,capture_completed,capture_failed" doc:"what happened"`
	RequestID *string `json:"request_id" doc:"of the request"`
	Detail    *string `json:"detail" doc:"more about it"`
}

// VideoFrame is one picture of many.
type VideoFrame struct {
	MessageID string   `json:"message_id" contract:"id" doc:"own id"`
	Timestamp float64  `json:"timestamp" contract:"now" doc:"Unix seconds when it was taken"`
	FrameData []byte   `json:"frame_data" contract:"required" doc:"the picture in base64"`
	Format    string   `json:"format" default:"jpeg" enum:"jpeg,png" doc:"of the picture"`
	Width     int      `json:"width" contract:"required" min:"1" doc:"pixels"`
	Height    int      `json:"height" contract:"required" min:"1" doc:"pixels"`
	Number    int      `json:"frame_number" contract:"required" min:"0" doc:"counts up"`
	FPS       *float64 `json:"fps" min:"0" doc:"how many a second are sent"`
}

// Motion says that something moves, or no longer.
type Motion struct {
	MessageID string   `json:"message_id" contract:"id" doc:"own id"`
	Event     string   `json:"event" contract:"required" enum:"start,end" doc:"what happened"`
	Score     *float64 `json:"score" min:"0" max:"1" doc:"part of the picture that changed"`
	TS        float64  `json:"ts" contract:"now" doc:"Unix seconds"`
}

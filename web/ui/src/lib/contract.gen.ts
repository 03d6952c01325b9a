// Generated from services/contract; `make docs` writes it anew.

/** A row of the topic table; T is the type of its payload. */
export interface Topic<T> {
  name: string;
  type: string;
  qos: 0 | 1 | 2;
  retain: boolean;
  form: "envelope" | "bare" | "raw";
  payload?: T;
}

/** A command of movement/test. */
export interface Move {
  name: string;
  /** that suits it, 0.1 to 1; 0: it has none */
  speed: number;
  /** it needs parameters */
  params: boolean;
  doc: string;
}

export interface Capture {
  /** own id */
  message_id?: string | null;
  /** Unix seconds */
  timestamp?: number | null;
  /** the picture carries it */
  request_id?: string | null;
  /** of the picture; raw is RGB */
  format?: "jpeg" | "png" | "raw" | null;
  /** of a JPEG */
  quality?: number | null;
  /** pixels; null as the camera has it */
  width?: number | null;
  /** pixels; null as the camera has it */
  height?: number | null;
  /** what for */
  purpose?: string | null;
}

export interface VideoFrame {
  /** own id */
  message_id?: string | null;
  /** Unix seconds when it was taken */
  timestamp?: number | null;
  /** the picture in base64 */
  frame_data: string;
  /** of the picture */
  format?: "jpeg" | "png" | null;
  /** pixels */
  width: number;
  /** pixels */
  height: number;
  /** counts up */
  frame_number: number;
  /** how many a second are sent */
  fps?: number | null;
}

export interface Image {
  /** own id */
  message_id?: string | null;
  /** Unix seconds */
  timestamp?: number | null;
  /** of the request */
  request_id: string;
  /** the picture in base64, empty on failure */
  image_data: string;
  /** of the picture */
  format: string;
  /** pixels, 0 on failure */
  width: number;
  /** pixels, 0 on failure */
  height: number;
  /** of the picture, before base64 */
  size_bytes: number;
  /** there is a picture */
  success?: boolean | null;
  /** why there is none */
  error?: string | null;
  /** as asked */
  purpose?: string | null;
  /** Unix seconds when it was taken */
  capture_timestamp?: number | null;
}

export interface Motion {
  /** own id */
  message_id?: string | null;
  /** what happened */
  event: "start" | "end";
  /** part of the picture that changed */
  score?: number | null;
  /** Unix seconds */
  ts?: number | null;
}

export interface CameraUpdate {
  /** own id */
  message_id?: string | null;
  /** Unix seconds */
  timestamp?: number | null;
  /** what happened */
  event: "camera_ready" | "camera_unavailable" | "capture_started" | "capture_completed" | "capture_failed";
  /** of the request */
  request_id?: string | null;
  /** more about it */
  detail?: string | null;
}

export interface ViewCamera {
  /** pictures a second; the fastest viewer is served, up to what the camera takes */
  fps?: number | null;
  /** milliseconds; ask again before they are over */
  hold_ms?: number | null;
}

export interface GetCharacter {
  /** own id */
  message_id?: string | null;
  /** one section only */
  section?: string | null;
}

export interface CharacterSection {
  /** own id */
  message_id?: string | null;
  /** its name */
  section: string;
  /** what it holds */
  value?: unknown | null;
}

export interface Character {
  /** own id */
  message_id?: string | null;
  /** its name */
  name: string;
  /** what it is */
  description?: string | null;
  /** first part of the prompt */
  systemprompt?: string | null;
  /** traits, mostly 0 to 100 */
  traits?: Record<string, unknown> | null;
  /** voice_id, rate, pitch */
  voice?: Record<string, unknown> | null;
  /** about the file */
  meta?: Record<string, unknown> | null;
  /** world and context */
  scenario?: Record<string, unknown> | null;
  /** guidelines */
  personality_notes?: Record<string, unknown> | null;
  /** how it talks */
  example_interactions?: Record<string, unknown> | null;
}

export type CharacterAnswer = CharacterSection | Character;

export interface ResetTraits {
  /** own id */
  message_id?: string | null;
  /** always reset_traits */
  action?: "reset_traits" | null;
  /** what the legacy tool server sends instead of action; read, not sent */
  reset_all?: boolean | null;
}

export interface SetTrait {
  /** own id */
  message_id?: string | null;
  /** always traits */
  section?: "traits" | null;
  /** its name */
  trait: string;
  /** how much */
  value: number;
}

export type UpdateCharacter = ResetTraits | SetTrait;

export interface Dialogue {
  /** what the robot does */
  state: "idle" | "listening" | "thinking" | "speaking" | "interrupted";
  /** why it came to that, such as wake, speech_end, reply, silence */
  reason?: string | null;
  /** Unix seconds */
  since: number;
  /** Unix seconds when it ends by itself */
  deadline?: number | null;
  /** turn that it belongs to */
  turn?: string | null;
  /** live mode: everything is heard, without a wake word */
  live?: boolean | null;
}

export interface TypedText {
  /** own id */
  message_id?: string | null;
  /** what was typed; blank is ignored */
  text: string;
  /** page or device; the answer goes back there */
  origin?: string | null;
  /** language, such as en */
  lang?: string | null;
  /** Unix seconds */
  ts?: number | null;
}

export interface ChatCancel {
  /** own id */
  message_id?: string | null;
  /** of the request */
  id: string;
}

export interface ChatTurn {
  /** who */
  role: "user" | "assistant";
  /** what */
  content: string;
  /** Unix seconds */
  timestamp?: number | null;
}

export interface ChatRequest {
  /** own id */
  message_id?: string | null;
  /** request: the answers carry it */
  id: string;
  /** what the user said */
  text: string;
  /** answer in pieces */
  stream?: boolean | null;
  /** look into memory; null as configured */
  use_rag?: boolean | null;
  /** how many memories; null or below 1 as configured */
  rag_k?: number | null;
  /** goes after the persona's prompt */
  system?: string | null;
  /** model, max_tokens, temperature, top_p */
  params?: Record<string, unknown> | null;
  /** what was said before, oldest first */
  conversation_history?: ChatTurn[] | null;
}

export interface ChatResponse {
  /** own id */
  message_id?: string | null;
  /** of the request */
  id: string;
  /** the answer */
  reply?: string | null;
  /** why there is none, or none to the end, as a sentence that can be spoken */
  error?: string | null;
  /** who answered */
  provider?: string | null;
  /** with which model */
  model?: string | null;
  /** the provider's account of tokens */
  tokens?: Record<string, unknown> | null;
}

export interface ChatDelta {
  /** own id */
  message_id?: string | null;
  /** of the request */
  id: string;
  /** place in the stream, from 0; the legacy worker begins at 1 */
  seq?: number | null;
  /** text to add */
  delta?: string | null;
  /** nothing more comes */
  done?: boolean | null;
  /** who answers */
  provider?: string | null;
  /** with which model */
  model?: string | null;
}

export interface ToolCall {
  /** own id */
  message_id?: string | null;
  /** the result carries it */
  call_id: string;
  /** of the tool */
  name: string;
  /** as its parameters say */
  arguments?: Record<string, unknown> | null;
}

export interface ToolResult {
  /** own id */
  message_id?: string | null;
  /** of the call */
  call_id: string;
  /** the text for the model */
  content?: string | null;
  /** the result as JSON */
  result?: unknown | null;
  /** why it failed */
  error?: string | null;
  /** error in the other legacy spelling; read, not sent */
  error_msg?: string | null;
}

export interface Function {
  /** mcp__server__tool */
  name: string;
  /** when to use it */
  description?: string | null;
  /** JSON Schema of the arguments */
  parameters?: Record<string, unknown> | null;
  [key: string]: unknown;
}

export interface Tool {
  /** always function */
  type?: string | null;
  /** what it is */
  function: Function;
}

export interface Tools {
  /** own id */
  message_id?: string | null;
  /** the tools; each replaces the whole list before */
  tools?: Tool[] | null;
}

export interface Remember {
  /** own id */
  message_id?: string | null;
  /** what to keep */
  text: string;
  /** who said it */
  role?: "user" | "assistant" | "fact" | null;
  /** words to find it by */
  tags?: string[] | null;
  /** Unix seconds */
  ts?: number | null;
}

export interface Remembered {
  /** own id */
  message_id?: string | null;
  /** it is on disk */
  ok: boolean;
  /** of the memory */
  id?: string | null;
  /** why not */
  err?: string | null;
}

export interface ExportMemory {
  /** own id */
  message_id?: string | null;
  /** those after this id; null from the beginning */
  after?: string | null;
  /** how many at most; fewer if they are long */
  limit?: number | null;
}

export interface MemoryRecord {
  /** its id here, when it is exported */
  id?: string | null;
  /** what was said */
  text: string;
  /** who said it, or a fact that was told */
  role?: "user" | "assistant" | "fact" | null;
  /** Unix seconds; 0 if nobody knows */
  ts?: number | null;
  /** language */
  lang?: string | null;
  /** of the message that brought it */
  message_id?: string | null;
  /** turn that it belongs to */
  turn?: string | null;
  /** microphone, page or device */
  origin?: string | null;
  /** more words to find it by */
  tags?: string[] | null;
}

export interface ExportedMemory {
  /** own id */
  message_id?: string | null;
  /** the memories */
  records: MemoryRecord[];
  /** what after has to be for the next page; null at the end */
  next?: string | null;
  /** why there are none */
  err?: string | null;
}

export interface Forget {
  /** own id */
  message_id?: string | null;
  /** of the memory */
  id?: string | null;
  /** that they contain */
  text?: string | null;
  /** Unix seconds: those from then on; with before, those between */
  after?: number | null;
  /** Unix seconds: those until then */
  before?: number | null;
  /** what was said and answered before this request, and the request's own turn */
  last?: boolean | null;
  /** everything */
  all?: boolean | null;
}

export interface Forgotten {
  /** own id */
  message_id?: string | null;
  /** it is done */
  ok: boolean;
  /** how many were deleted */
  count?: number | null;
  /** why not */
  err?: string | null;
}

export interface ImportMemory {
  /** own id */
  message_id?: string | null;
  /** the memories; their ids are given anew */
  records: MemoryRecord[];
}

export interface ImportedMemory {
  /** own id */
  message_id?: string | null;
  /** all of them are on disk */
  ok: boolean;
  /** how many are new */
  added?: number | null;
  /** how many were there already, or are blank */
  skipped?: number | null;
  /** why not */
  err?: string | null;
}

export interface Query {
  /** own id */
  message_id?: string | null;
  /** what to look for */
  text: string;
  /** how many */
  top_k?: number | null;
  /** how long together */
  max_tokens?: number | null;
  /** also what was said around them */
  include_context?: boolean | null;
  /** how many before and after */
  context_window?: number | null;
  /** hybrid, recent or similarity */
  retrieval_strategy?: string | null;
}

export interface QueryResult {
  /** the memory */
  document: unknown;
  /** how well it fits, more is better */
  score?: number | null;
  /** when it was said */
  timestamp?: string | null;
  /** found, or said before or after */
  context_type?: "target" | "previous" | "next" | null;
  /** how long it is */
  token_count?: number | null;
}

export interface QueryResults {
  /** own id */
  message_id?: string | null;
  /** text of the query */
  query: string;
  /** how many of the results were found, without those around them */
  k: number;
  /** the memories */
  results?: QueryResult[] | null;
  /** how long they are together */
  total_tokens?: number | null;
  /** as asked */
  strategy_used?: string | null;
  /** more would not have fitted */
  truncated?: boolean | null;
}

export interface Calibrate {
  /** own id */
  message_id?: string | null;
  /** Unix seconds */
  timestamp?: number | null;
  /** the status carries it */
  request_id?: string | null;
  /** what to do */
  action: "move" | "test" | "set" | "save" | "reset";
  /** of move, test and set */
  joint?: string | null;
  /** of set */
  position?: "min" | "max" | "rest" | "low" | "high" | null;
  /** of move and set: 1/4096 of 20 ms */
  ticks?: number | null;
}

export interface JointInfo {
  /** such as left_leg */
  name: string;
  /** output of the chip */
  channel: number;
  /** least pulse */
  min: number;
  /** largest pulse */
  max: number;
  /** pulse at rest */
  rest: number;
  /** pulse at 1 percent */
  low: number;
  /** pulse at 100 percent */
  high: number;
  /** that one tick turns it, as movement/joints counts degrees */
  degrees?: number | null;
}

export interface MotionCalibration {
  /** own id */
  message_id?: string | null;
  /** Unix seconds */
  timestamp?: number | null;
  /** all of them */
  joints: JointInfo[];
}

export interface PlanMovement {
  /** own id */
  message_id?: string | null;
  /** Unix seconds */
  timestamp?: number | null;
  /** frames and states carry it */
  id?: string | null;
  /** the action */
  command: "reset" | "disable" | "step_forward" | "step_backward" | "turn_left" | "turn_right" | "balance" | "laugh" | "swing_legs" | "pose" | "bow";
  /** of the action */
  params?: Record<string, unknown> | null;
}

export interface PlannedFrame {
  /** own id */
  message_id?: string | null;
  /** Unix seconds */
  timestamp?: number | null;
  /** of the move */
  id: string;
  /** place in the move, from 0 */
  seq: number;
  /** frames of the move */
  total: number;
  /** milliseconds to get there */
  duration_ms: number;
  /** milliseconds to stay there */
  hold_ms: number;
  /** pulse by channel number, in 1/4096 of 20 ms */
  channels: Record<string, number>;
  /** all off afterwards */
  disable_after?: boolean | null;
  /** the last of the move */
  done?: boolean | null;
}

export interface Ticks {
  [key: string]: number;
}

export type Frame = PlannedFrame | Ticks;

export interface MotionEvent {
  /** queued, started, completed, failed, cancelled, or the firmware's own word */
  event: string;
  /** Unix seconds of its arrival */
  ts: number;
  /** who said it */
  from: "host" | "device";
}

export interface MotionRequest {
  /** its request_id */
  id: string;
  /** the move */
  command: string;
  /** of it; 0: it has none */
  speed?: number | null;
  /** who asked */
  source?: string | null;
  /** who carries it out */
  by: "frames" | "device";
  /** how far it is */
  state: "queued" | "started" | "completed" | "failed" | "cancelled";
  /** why it failed */
  detail?: string | null;
  /** poses that were reached */
  frames?: number | null;
  /** in order of arrival, at most 32; poses only in number */
  events?: MotionEvent[] | null;
}

export interface MotionHistory {
  /** own id */
  message_id?: string | null;
  /** Unix seconds */
  timestamp?: number | null;
  /** at most 20 */
  requests: MotionRequest[];
}

export interface MotionInfo {
  /** own id */
  message_id?: string | null;
  /** Unix seconds */
  timestamp?: number | null;
  /** what moves */
  backend: "sim" | "pca9685" | "esp32" | "none";
  /** commands are accepted */
  ready: boolean;
  /** why they are not */
  reason?: string | null;
  /** reason of the emergency stop that is in force */
  stopped?: string | null;
  /** all outputs are off, and whoever drives them said so */
  confirmed?: boolean | null;
  /** who has manual control */
  manual?: string | null;
  /** the move that is on */
  command?: string | null;
  /** of that move */
  request_id?: string | null;
  /** moves that wait */
  queue?: string[] | null;
  /** how many may */
  queue_limit: number;
  /** frames a second while something moves */
  frame_hz: number;
  /** in the order of movement/joints */
  joints?: JointInfo[] | null;
}

export interface Joints {
  /** Unix seconds */
  ts?: number | null;
  /** pulse of each joint in 1/4096 of 20 ms, 0 while it is off */
  ticks: number[];
  /** the move that is on */
  command?: string | null;
  /** something moves */
  moving?: boolean | null;
  /** an emergency stop is in force */
  stopped?: boolean | null;
  /** angle of each joint from rest: up, forward and the larger percentage are above 0 */
  degrees?: number[] | null;
  /** height of the body over its height at rest, in mm */
  lift_mm?: number | null;
}

export interface ManualMovement {
  /** counts up; an older one is ignored */
  seq: number;
  /** Unix seconds */
  ts?: number | null;
  /** percent of the way of each joint; empty holds still */
  joints?: Record<string, number> | null;
  /** 1 is the fastest */
  speed?: number | null;
  /** milliseconds without a further message after which motion ends */
  hold_ms?: number | null;
  /** who controls; the first one has it until release or silence */
  control?: string | null;
  /** the end of control */
  release?: boolean | null;
}

export interface ResumeMovement {
  /** own id */
  message_id?: string | null;
  /** Unix seconds */
  timestamp?: number | null;
  /** why */
  reason?: string | null;
  /** the status carries it */
  request_id?: string | null;
}

export interface MovementReport {
  /** own id */
  message_id?: string | null;
  /** Unix seconds; from the ESP32 seconds since it was switched on */
  timestamp?: number | null;
  /** of the planned move */
  id?: string | null;
  /** what happened */
  event: string;
  /** of the frame */
  seq?: number | null;
  /** more about it */
  detail?: string | null;
  [key: string]: unknown;
}

export interface MovementUpdate {
  /** own id */
  message_id?: string | null;
  /** Unix seconds; from the ESP32 seconds since it was switched on */
  timestamp?: number | null;
  /** what happened */
  event: "connected" | "disconnected" | "command_started" | "command_completed" | "command_failed" | "emergency_stop" | "stop_cleared" | "queue_full" | "battery_low";
  /** the move */
  command?: string | null;
  /** more about it */
  detail?: string | null;
  /** of the command */
  request_id?: string | null;
}

export interface StopMovement {
  /** own id */
  message_id?: string | null;
  /** Unix seconds */
  timestamp?: number | null;
  /** why */
  reason?: string | null;
}

export interface TestMovement {
  /** own id */
  message_id?: string | null;
  /** Unix seconds */
  timestamp?: number | null;
  /** the move */
  command: "reset" | "step_forward" | "step_backward" | "turn_left" | "turn_right" | "wave" | "laugh" | "swing_legs" | "pezz" | "pezz_dispenser" | "now" | "balance" | "mic_drop" | "monster" | "pose" | "bow" | "disable" | "stop" | "move_legs" | "move_arm" | "big_shrug" | "thinking_pose" | "excited_bounce" | "reach_forward" | "wide_stance" | "test_joint";
  /** 1 is the fastest */
  speed?: number | null;
  /** of move_legs, move_arm and test_joint */
  params?: Record<string, unknown> | null;
  /** the status carries it */
  request_id?: string | null;
}

export interface Spectrum {
  /** magnitudes, 0 to 1, from 0 Hz to half the sample rate */
  fft: number[];
  /** Unix seconds */
  ts?: number | null;
}

export interface AudioFFTData {
  /** own id */
  message_id?: string | null;
  /** magnitudes */
  fft_data: number[];
  /** Hz */
  sample_rate: number;
  /** Unix seconds */
  ts?: number | null;
}

export type AudioFFT = Spectrum | AudioFFTData;

export interface FinalTranscript {
  /** own id */
  message_id?: string | null;
  /** the words */
  text: string;
  /** language */
  lang?: string | null;
  /** how sure the recogniser is */
  confidence?: number | null;
  /** utterance; it becomes the id of the request to the language model */
  utt_id?: string | null;
  /** Unix seconds */
  ts?: number | null;
  /** always true here */
  is_final?: boolean | null;
}

export interface PartialTranscript {
  /** own id */
  message_id?: string | null;
  /** the words so far */
  text: string;
  /** language */
  lang?: string | null;
  /** how sure the recogniser is */
  confidence?: number | null;
  /** utterance */
  utt_id?: string | null;
  /** Unix seconds */
  ts?: number | null;
  /** always false here */
  is_final?: boolean | null;
}

export interface HealthPing {
  /** own id */
  message_id?: string | null;
  /** it works */
  ok: boolean;
  /** such as ready, reconnected, shutdown, disconnected, stale, restarting, or a device's own word */
  event?: string | null;
  /** what is wrong */
  err?: string | null;
  /** Unix seconds */
  timestamp?: number | null;
}

export interface Heartbeat {
  /** always true */
  ok?: boolean | null;
  /** always heartbeat */
  event?: string | null;
  /** Unix seconds */
  timestamp: number;
}

export interface SpeechControl {
  /** own id */
  message_id?: string | null;
  /** what to do */
  action: string;
  /** such as wake_interrupt, wake_resume, wake_timeout, wake_cancel */
  reason?: string | null;
  /** utterance that is meant; without one the present one, and of a stop all */
  id?: string | null;
  /** of the action volume, percent */
  volume?: number | null;
  /** Unix seconds */
  ts?: number | null;
}

export interface SpeechProgress {
  /** own id */
  message_id?: string | null;
  /** utterance of the say */
  utt_id?: string | null;
  /** number of the sentence in the utterance, from 0 */
  part: number;
  /** the sentence, cleaned */
  text: string;
  /** who made the sound */
  engine?: string | null;
  /** milliseconds since the text came; of the first sentence of a text that had not to wait for another */
  after_ms?: number | null;
  /** Unix seconds */
  ts?: number | null;
}

export interface Say {
  /** own id */
  message_id?: string | null;
  /** what to say; blank is ignored */
  text: string;
  /** voice of the engine */
  voice?: string | null;
  /** language, such as en */
  lang?: string | null;
  /** utterance: texts with the same one are one answer */
  utt_id?: string | null;
  /** such as neutral or friendly */
  style?: string | null;
  /** ts of the transcript that is answered, for latency */
  stt_ts?: number | null;
  /** the short answer to the wake word */
  wake_ack?: boolean | null;
  /** an announcement that nobody asked for */
  system_announce?: boolean | null;
}

export interface SpeechState {
  /** own id */
  message_id?: string | null;
  /** who is asked first; null: there is none */
  engine?: string | null;
  /** where sound of this machine goes; none: nowhere */
  sink: string;
  /** nothing is heard */
  muted?: boolean | null;
  /** percent */
  volume?: number | null;
  /** Unix seconds */
  ts?: number | null;
}

export interface SpeechStatus {
  /** own id */
  message_id?: string | null;
  /** what happened */
  event: "speaking_start" | "speaking_end" | "paused" | "resumed" | "stopped";
  /** the text that is spoken, cleaned */
  text?: string | null;
  /** Unix seconds */
  timestamp?: number | null;
  /** utterance of the say */
  utt_id?: string | null;
  /** why it was paused, resumed or stopped */
  reason?: string | null;
  /** as in the say */
  wake_ack?: boolean | null;
  /** as in the say */
  system_announce?: boolean | null;
}

export interface Wake {
  /** own id */
  message_id?: string | null;
  /** wake, interrupt, timeout, resume, cancelled, error or another word */
  type: string;
  /** utterance that was spoken meanwhile */
  tts_id?: string | null;
  /** score of the detector */
  confidence?: number | null;
  /** loudness, RMS of -1 to 1 */
  energy?: number | null;
  /** wake_phrase, double_wake, silence, timeout, cancel, detector_failure or an error's text */
  cause?: string | null;
  /** Unix seconds; legacy wake services send seconds since boot */
  ts?: number | null;
}

export interface WakeState {
  /** it listens */
  ok?: boolean | null;
  /** version of the service */
  version?: string | null;
  /** Unix seconds */
  ts?: number | null;
}

export interface MicCommand {
  /** own id */
  message_id?: string | null;
  /** what to do */
  action: "mute" | "unmute";
  /** why */
  reason?: string | null;
  /** milliseconds until it is undone; null for good */
  ttl_ms?: number | null;
}

export interface Score {
  /** how alike */
  score: number;
  /** score from which on it counts as heard now */
  threshold?: number | null;
  /** loudness, RMS of -1 to 1 */
  energy?: number | null;
  /** Unix seconds */
  ts?: number | null;
}

export const topics = {
  audioIn: { name: "audio/in/+", type: "audio.in", qos: 0, retain: false, form: "raw" } as Topic<Uint8Array>,
  audioOut: { name: "audio/out/+", type: "audio.out", qos: 0, retain: false, form: "raw" } as Topic<Uint8Array>,
  cameraCapture: { name: "camera/capture", type: "camera.capture", qos: 1, retain: false, form: "envelope" } as Topic<Capture>,
  cameraFrame: { name: "camera/frame", type: "camera.frame", qos: 0, retain: false, form: "envelope" } as Topic<VideoFrame>,
  cameraImage: { name: "camera/image", type: "camera.image", qos: 1, retain: false, form: "envelope" } as Topic<Image>,
  cameraJpeg: { name: "camera/jpeg", type: "camera.jpeg", qos: 0, retain: false, form: "raw" } as Topic<Uint8Array>,
  cameraMotion: { name: "camera/motion", type: "camera.motion", qos: 1, retain: false, form: "envelope" } as Topic<Motion>,
  cameraStatus: { name: "camera/status", type: "camera.status", qos: 1, retain: false, form: "envelope" } as Topic<CameraUpdate>,
  cameraView: { name: "camera/view", type: "camera.view", qos: 0, retain: false, form: "envelope" } as Topic<ViewCamera>,
  characterGet: { name: "character/get", type: "character.get", qos: 1, retain: false, form: "envelope" } as Topic<GetCharacter>,
  characterResult: { name: "character/result", type: "character.result", qos: 1, retain: false, form: "envelope" } as Topic<CharacterAnswer>,
  characterUpdate: { name: "character/update", type: "character.update", qos: 1, retain: false, form: "envelope" } as Topic<UpdateCharacter>,
  dialogueState: { name: "dialogue/state", type: "dialogue.state", qos: 1, retain: true, form: "envelope" } as Topic<Dialogue>,
  dialogueText: { name: "dialogue/text", type: "dialogue.text", qos: 1, retain: false, form: "envelope" } as Topic<TypedText>,
  llmCancel: { name: "llm/cancel", type: "llm.cancel", qos: 1, retain: false, form: "envelope" } as Topic<ChatCancel>,
  llmRequest: { name: "llm/request", type: "llm.request", qos: 1, retain: false, form: "envelope" } as Topic<ChatRequest>,
  llmResponse: { name: "llm/response", type: "llm.response", qos: 1, retain: false, form: "envelope" } as Topic<ChatResponse>,
  llmStream: { name: "llm/stream", type: "llm.stream", qos: 0, retain: false, form: "envelope" } as Topic<ChatDelta>,
  llmToolCallRequest: { name: "llm/tool.call.request", type: "llm.tool.call.request", qos: 1, retain: false, form: "envelope" } as Topic<ToolCall>,
  llmToolCallResult: { name: "llm/tool.call.result", type: "llm.tool.call.result", qos: 1, retain: false, form: "bare" } as Topic<ToolResult>,
  llmToolsRegistry: { name: "llm/tools/registry", type: "llm.tools.registry", qos: 1, retain: true, form: "bare" } as Topic<Tools>,
  memoryAdd: { name: "memory/add", type: "memory.add", qos: 1, retain: false, form: "envelope" } as Topic<Remember>,
  memoryAdded: { name: "memory/added", type: "memory.added", qos: 1, retain: false, form: "envelope" } as Topic<Remembered>,
  memoryExport: { name: "memory/export", type: "memory.export", qos: 1, retain: false, form: "envelope" } as Topic<ExportMemory>,
  memoryExported: { name: "memory/exported", type: "memory.exported", qos: 1, retain: false, form: "envelope" } as Topic<ExportedMemory>,
  memoryForget: { name: "memory/forget", type: "memory.forget", qos: 1, retain: false, form: "envelope" } as Topic<Forget>,
  memoryForgotten: { name: "memory/forgotten", type: "memory.forgotten", qos: 1, retain: false, form: "envelope" } as Topic<Forgotten>,
  memoryImport: { name: "memory/import", type: "memory.import", qos: 1, retain: false, form: "envelope" } as Topic<ImportMemory>,
  memoryImported: { name: "memory/imported", type: "memory.imported", qos: 1, retain: false, form: "envelope" } as Topic<ImportedMemory>,
  memoryQuery: { name: "memory/query", type: "memory.query", qos: 1, retain: false, form: "envelope" } as Topic<Query>,
  memoryResults: { name: "memory/results", type: "memory.results", qos: 1, retain: false, form: "envelope" } as Topic<QueryResults>,
  movementCalibrate: { name: "movement/calibrate", type: "movement.calibrate", qos: 1, retain: false, form: "envelope" } as Topic<Calibrate>,
  movementCalibration: { name: "movement/calibration", type: "movement.calibration", qos: 1, retain: true, form: "envelope" } as Topic<MotionCalibration>,
  movementCommand: { name: "movement/command", type: "movement.command", qos: 1, retain: false, form: "envelope" } as Topic<PlanMovement>,
  movementFrame: { name: "movement/frame", type: "movement.frame", qos: 1, retain: false, form: "bare" } as Topic<Frame>,
  movementHistory: { name: "movement/history", type: "movement.history", qos: 1, retain: true, form: "envelope" } as Topic<MotionHistory>,
  movementInfo: { name: "movement/info", type: "movement.info", qos: 1, retain: true, form: "envelope" } as Topic<MotionInfo>,
  movementJoints: { name: "movement/joints", type: "movement.joints", qos: 0, retain: false, form: "envelope" } as Topic<Joints>,
  movementManual: { name: "movement/manual", type: "movement.manual", qos: 0, retain: false, form: "envelope" } as Topic<ManualMovement>,
  movementResume: { name: "movement/resume", type: "movement.resume", qos: 1, retain: false, form: "envelope" } as Topic<ResumeMovement>,
  movementState: { name: "movement/state", type: "movement.state", qos: 1, retain: false, form: "envelope" } as Topic<MovementReport>,
  movementStatus: { name: "movement/status", type: "movement.status", qos: 0, retain: false, form: "envelope" } as Topic<MovementUpdate>,
  movementStop: { name: "movement/stop", type: "movement.stop", qos: 1, retain: false, form: "envelope" } as Topic<StopMovement>,
  movementTest: { name: "movement/test", type: "movement.test", qos: 1, retain: false, form: "bare" } as Topic<TestMovement>,
  sttAudioFft: { name: "stt/audio_fft", type: "stt.audio_fft", qos: 0, retain: false, form: "bare" } as Topic<AudioFFT>,
  sttFinal: { name: "stt/final", type: "stt.final", qos: 1, retain: false, form: "envelope" } as Topic<FinalTranscript>,
  sttPartial: { name: "stt/partial", type: "stt.partial", qos: 0, retain: false, form: "envelope" } as Topic<PartialTranscript>,
  systemCharacterCurrent: { name: "system/character/current", type: "system.character.current", qos: 1, retain: true, form: "envelope" } as Topic<Character>,
  systemHealth: { name: "system/health/+", type: "health.status", qos: 1, retain: true, form: "envelope" } as Topic<HealthPing>,
  systemKeepalive: { name: "system/keepalive/+", type: "system.keepalive", qos: 0, retain: false, form: "bare" } as Topic<Heartbeat>,
  ttsControl: { name: "tts/control", type: "tts.control", qos: 1, retain: false, form: "bare" } as Topic<SpeechControl>,
  ttsProgress: { name: "tts/progress", type: "tts.progress", qos: 0, retain: false, form: "envelope" } as Topic<SpeechProgress>,
  ttsSay: { name: "tts/say", type: "tts.say", qos: 1, retain: false, form: "envelope" } as Topic<Say>,
  ttsState: { name: "tts/state", type: "tts.state", qos: 1, retain: true, form: "envelope" } as Topic<SpeechState>,
  ttsStatus: { name: "tts/status", type: "tts.status", qos: 0, retain: false, form: "bare" } as Topic<SpeechStatus>,
  wakeEvent: { name: "wake/event", type: "wake.event", qos: 1, retain: false, form: "envelope" } as Topic<Wake>,
  wakeHealth: { name: "wake/health", type: "wake.health", qos: 1, retain: true, form: "envelope" } as Topic<WakeState>,
  wakeMic: { name: "wake/mic", type: "wake.mic", qos: 1, retain: false, form: "envelope" } as Topic<MicCommand>,
  wakeScore: { name: "wake/score", type: "wake.score", qos: 0, retain: false, form: "envelope" } as Topic<Score>,
};

/** Names of MQTT user properties. */
export const props = {
  rate: "rate",
  dropped: "dropped",
  taken: "taken",
  number: "number",
  stale: "stale",
  turn: "turn",
  origin: "origin",
  speechEnd: "speech_end",
};

/** Joints in the order of movement/joints. */
export const jointNames = ["height", "left_leg", "right_leg", "port_main", "port_forearm", "port_hand", "star_main", "star_forearm", "star_hand"] as const;
export type Joint = (typeof jointNames)[number];

/** Commands of movement/test. */
export const moves: Move[] = [
  { name: "reset", speed: 0.8, params: false, doc: "Go back to the neutral position." },
  { name: "step_forward", speed: 0.8, params: false, doc: "Walk one step forward." },
  { name: "step_backward", speed: 0.8, params: false, doc: "Walk one step backward." },
  { name: "turn_left", speed: 0.8, params: false, doc: "Turn to the left on the spot." },
  { name: "turn_right", speed: 0.8, params: false, doc: "Turn to the right on the spot." },
  { name: "wave", speed: 0.7, params: false, doc: "Wave with the right hand, as a greeting or a goodbye." },
  { name: "laugh", speed: 0.9, params: false, doc: "Bounce up and down, as if laughing at a joke." },
  { name: "swing_legs", speed: 0.6, params: false, doc: "Swing both legs to and fro." },
  { name: "pezz", speed: 0.5, params: false, doc: "The same as pezz_dispenser." },
  { name: "pezz_dispenser", speed: 0.5, params: false, doc: "Tilt like a candy dispenser, and hold it for 10 seconds." },
  { name: "now", speed: 0.7, params: false, doc: "Point forward with the right arm, for emphasis." },
  { name: "balance", speed: 0.8, params: false, doc: "Shift the weight from leg to leg, as a celebration." },
  { name: "mic_drop", speed: 0.8, params: false, doc: "Drop an imaginary microphone after a good line." },
  { name: "monster", speed: 0.7, params: false, doc: "Threaten like a monster, with raised arms." },
  { name: "pose", speed: 0.6, params: false, doc: "Strike a pose." },
  { name: "bow", speed: 0.5, params: false, doc: "Bow, as thanks." },
  { name: "disable", speed: 0, params: false, doc: "Switch all servos off; the robot goes limp." },
  { name: "stop", speed: 0, params: false, doc: "Emergency stop: everything off until movement/resume. Publish movement/stop rather than this." },
  { name: "move_legs", speed: 0.8, params: true, doc: "Bring the legs to a position." },
  { name: "move_arm", speed: 0.8, params: true, doc: "Bring joints of the arms to a position; at least one." },
  { name: "big_shrug", speed: 0.7, params: false, doc: "Shrug with both arms, when uncertain." },
  { name: "thinking_pose", speed: 0.6, params: false, doc: "Pose as if thinking." },
  { name: "excited_bounce", speed: 1, params: false, doc: "Bounce with excitement." },
  { name: "reach_forward", speed: 0.7, params: false, doc: "Reach forward with both arms and grab." },
  { name: "wide_stance", speed: 0.6, params: false, doc: "Stand wide and low, hands closed." },
  { name: "test_joint", speed: 0.5, params: true, doc: "Move one joint slowly to a position, or from end to end, and back to rest." },
];

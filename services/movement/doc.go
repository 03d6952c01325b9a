// Package movement is the service that moves the robot. It takes commands from topics, refuses what
// is not in the tables with a reason, and hands the rest to an engine (drive), which plans it (plan)
// and drives a backend: the simulator (sim), a PCA9685 on this machine (pca9685), or the ESP32, which
// runs the firmware's moves itself and takes all others as frames.
//
// It owns what topics mean for motion: which message is a stop, what is stale, whose echo is whose,
// and what is said about each request. Nothing that is retained or old moves anything. Commands are
// subscribed to with QoS 0, since a broker keeps nothing of that for a service that is away: what was
// said while nobody listened must not happen later. The stop is subscribed to with QoS 1.
package movement

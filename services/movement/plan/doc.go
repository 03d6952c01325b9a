// Package plan turns the names of moves into pulses. It owns the tables of the moves, the map from
// percent to servo pulses with its limits, and the eased path between two poses. It is pure: time is
// an argument, and nothing here knows a topic, a backend or a clock.
//
// A pulse is counted in ticks of the PCA9685: 1/4096 of the 20 ms period, about 4.88 µs. Percent have
// the direction that the contract promises to everybody on the wire: height 1 is down and 100 is up,
// legs 1 is back and 100 is forward, arms run from their least to their largest pulse. The firmware
// counts height and legs the other way round; its tables are written here as poses (up, forward), so
// nothing is lost.
//
// There are two tables, one per vocabulary, as the reference has them. Commands (movement/test) are
// the firmware's sequences, paced by a speed. Actions (movement/command) are the frames of the retired
// planner, which were tuned on the robot, each with a time of its own.
package plan

// Package homeassistant announces the robot to Home Assistant as one device, by MQTT discovery in
// its device-based form: one retained message that names the topics of the contract and how to
// read and write them. It translates nothing itself: Home Assistant speaks the robot's topics.
//
// It announces again when Home Assistant says that it has started. When it is switched off it takes
// back what it announced before.
package homeassistant

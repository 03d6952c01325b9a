// Package drive owns the one goroutine that moves the robot: the queue of requests, the way of the
// joints through a plan, manual control, and the latch of the emergency stop. It knows no topics and
// no hardware; a Driver takes poses, and events say what became of each request.
//
// The gate is the only way to the driver. It holds every pulse to its joint's limits, and once it is
// stopped it lets nothing through but "off" until somebody resumes. Stop goes to the gate from the
// goroutine of its caller: it waits for one write at most, never for a queue.
//
// What happens to the joints:
//
//	emergency stop, low battery, shutdown   all outputs off, told again until the driver confirms it
//	control lost, manual control silent     motion ends where it is and is held; off after the idle time
//	end of a move                           held; off after the idle time, or at once if the move says so
//
// Time that the process did not get is not caught up: a plan goes on where it was.
package drive

/*
 * WebAssembly has no setjmp. Upstream includes this for an optional way out of a failed allocation,
 * which we do not ask for: it exits, and the Go side makes a new instance.
 */
typedef int jmp_buf[1];
#define setjmp(b) 0
#define longjmp(b, v) __builtin_trap()

/* SPDX-License-Identifier: Apache-2.0 */
/* A Cortex-M of QEMU's from reset to main: vectors, FPU, memory, a clock, and a console by semihosting. */
#include "platform.h"

#include <stddef.h>

#ifndef CLOCK_MHZ /* of the board; at -icount shift=0 an instruction takes a nanosecond */
#define CLOCK_MHZ 25
#endif

extern uint32_t data_start[], data_end[], data_load[], bss_start[], bss_end[], stack_end[];

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define SYSTICK_CONTROL REGISTER(0xe000e010)
#define SYSTICK_RELOAD REGISTER(0xe000e014)
#define SYSTICK_CURRENT REGISTER(0xe000e018)
#define COPROCESSORS REGISTER(0xe000ed88)

enum { SYS_WRITE0 = 0x04, SYS_EXIT = 0x18, SYSTICK_TOP = 0xffffff };

void reset(void);

static volatile uint32_t n_wraps;

static uint32_t ask_host(uint32_t operation, uint32_t argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register uint32_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void tell(const char *text)
{
    ask_host(SYS_WRITE0, (uint32_t)(uintptr_t)text);
}

uint64_t instructions(void)
{
    uint32_t wraps, now;
    do {
        wraps = n_wraps;
        now = SYSTICK_CURRENT;
    } while (wraps != n_wraps);
    return ((uint64_t)(wraps + 1) * (SYSTICK_TOP + 1) - now) * 1000 / CLOCK_MHZ;
}

static void leave(int failed)
{
    for (;;)
        ask_host(SYS_EXIT, failed ? 0x20023 : 0x20026);
}

static void on_tick(void)
{
    n_wraps++;
}

static void on_fault(void)
{
    tell("fault\n");
    leave(1);
}

__attribute__((noreturn)) void reset(void)
{
    COPROCESSORS |= 0xfu << 20;
    __asm__ volatile("dsb\n\tisb");
    for (uint32_t *to = data_start, *from = data_load; to < data_end;)
        *to++ = *from++;
    for (uint32_t *to = bss_start; to < bss_end;)
        *to++ = 0;
    SYSTICK_RELOAD = SYSTICK_TOP;
    SYSTICK_CURRENT = 0;
    SYSTICK_CONTROL = 7;
    leave(main());
    for (;;) {}
}

typedef void (*vector)(void);

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    vector handlers[15];
} vectors = {
    stack_end,
    {reset, on_fault, on_fault, on_fault, on_fault, on_fault, on_fault, 0, 0, 0, on_fault, on_fault, 0, on_fault,
      on_tick}
};

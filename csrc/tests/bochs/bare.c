/* SPDX-License-Identifier: Apache-2.0 */
/* As much of a C library as a test program needs where there is no system: what it prints goes to the first serial
 * port, its memory is a heap that is emptied when all of it has been given back, its end switches the emulator off. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

enum { SERIAL = 0x3f8, SHUTDOWN = 0x8900, HEAP = 8 << 20 };

extern char bss_start[], bss_end[];
int main(void);
void exit(int status);

static _Alignas(64) unsigned char heap[HEAP];
static size_t heap_used, n_blocks;

static void out(uint16_t port, char byte)
{
    __asm__ volatile("outb %0, %1" : : "a"(byte), "d"(port));
}

/* Waits until the byte before is on its way. */
static void wait_for_serial(void)
{
    char status;
    do
        __asm__ volatile("inb %1, %0" : "=a"(status) : "d"((uint16_t)(SERIAL + 5)));
    while ((status & 0x60) != 0x60);
}

static void put(char byte)
{
    wait_for_serial();
    out(SERIAL, byte);
}

/* Where text goes: the serial port, or what is left of a block. */
typedef struct {
    char *to;
    size_t left;
} sink;

static void write_text(sink *s, const char *text)
{
    for (; *text; text++)
        if (!s->to)
            put(*text);
        else if (s->left > 1) {
            *s->to++ = *text;
            s->left--;
        }
}

static void write_number(sink *s, int v)
{
    char digits[12], *at = digits + sizeof digits - 1;
    unsigned left = v < 0 ? 0u - (unsigned)v : (unsigned)v;
    *at = 0;
    do
        *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (v < 0)
        *--at = '-';
    write_text(s, at);
}

/* %d and %s, alone. */
static void write_format(sink *s, const char *format, va_list arguments)
{
    for (; *format; format++)
        if (*format != '%')
            write_text(s, (char[]){*format, 0});
        else if (*++format == 'd')
            write_number(s, va_arg(arguments, int));
        else
            write_text(s, va_arg(arguments, const char *));
}

int printf(const char *format, ...)
{
    va_list arguments;
    sink s = {NULL, 0};
    va_start(arguments, format);
    write_format(&s, format, arguments);
    va_end(arguments);
    return 0;
}

int snprintf(char *to, size_t size, const char *format, ...)
{
    va_list arguments;
    sink s = {to, size};
    va_start(arguments, format);
    write_format(&s, format, arguments);
    va_end(arguments);
    *s.to = 0;
    return (int)(s.to - to);
}

void *memcpy(void *to, const void *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)to)[i] = ((const unsigned char *)from)[i];
    return to;
}

void *memset(void *to, int byte, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((unsigned char *)to)[i] = (unsigned char)byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((const unsigned char *)a)[i] != ((const unsigned char *)b)[i])
            return 1;
    return 0;
}

size_t strlen(const char *text)
{
    size_t n = 0;
    while (text[n])
        n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

char *strcpy(char *to, const char *from)
{
    memcpy(to, from, strlen(from) + 1);
    return to;
}

char *strcat(char *to, const char *from)
{
    strcpy(to + strlen(to), from);
    return to;
}

char *getenv(const char *name)
{
    (void)name;
    return NULL;
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    heap_used = (heap_used + alignment - 1) / alignment * alignment;
    if (size > HEAP - heap_used)
        return 1;
    *block = heap + heap_used;
    heap_used += size;
    n_blocks++;
    return 0;
}

void free(void *block)
{
    if (block && --n_blocks == 0)
        heap_used = 0;
}

void exit(int status)
{
    printf("exit %d\n", status);
    wait_for_serial();
    for (const char *word = "Shutdown"; *word; word++)
        out(SHUTDOWN, *word);
    for (;;)
        __asm__ volatile("hlt");
}

void abort(void)
{
    exit(134);
}

void run(void)
{
    memset(bss_start, 0, (size_t)(bss_end - bss_start));
    out(SERIAL + 3, 3); /* bytes of 8 bits */
    exit(main());
}

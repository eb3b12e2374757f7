/* SPDX-License-Identifier: Apache-2.0 */
/* From the BIOS to a C program in 64 bits, with vectors and tiles switched on: the first sector reads the ones behind
 * it, SECTORS of them, to where the linker thinks they are. No interrupt is ever let in. */
    .set    CHUNK, 64               /* sectors read at once */
    .set    PAGES, 0x1000           /* three tables: the first gigabyte as it lies, in pages of 2 MB */
    .set    STACK, 0x800000

    .section .boot, "ax"
    .code16
    .globl  start
start:
    cli
    ljmp    $0, $1f
1:  xorw    %ax, %ax
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %ss
    movw    $start, %sp
    movw    $(SECTORS / CHUNK), %cx
2:  pushw   %cx
    movw    $packet, %si
    movb    $0x42, %ah              /* the drive is in dl, as the BIOS left it */
    pushw   %dx
    int     $0x13
    popw    %dx
    popw    %cx
    jc      .
    addw    $(CHUNK * 512 / 16), packet + 6
    addl    $CHUNK, packet + 8
    loop    2b
    cli
    inb     $0x92, %al              /* addresses above 1 MB */
    orb     $2, %al
    outb    %al, $0x92
    lgdtl   gdt_register
    movl    %cr0, %eax
    orl     $1, %eax
    movl    %eax, %cr0
    ljmpl   $8, $protected

    .balign 4
packet:
    .byte   16, 0
    .short  CHUNK, 0, 0x7e0         /* to segment 0x7e0: 0x7e00, behind this sector */
    .quad   1
    .balign 8
gdt:
    .quad   0
    .quad   0x00cf9a000000ffff      /* 8: code of 32 bits */
    .quad   0x00cf92000000ffff      /* 16: data */
    .quad   0x00af9a000000ffff      /* 24: code of 64 bits */
gdt_register:
    .short  . - gdt - 1
    .long   gdt

    .code32
protected:
    movw    $16, %ax
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %ss
    movl    $PAGES, %edi
    xorl    %eax, %eax
    movl    $(3 * 1024), %ecx
    rep stosl
    movl    $(PAGES + 0x1003), PAGES
    movl    $(PAGES + 0x2003), PAGES + 0x1000
    movl    $0x83, %eax
    movl    $(PAGES + 0x2000), %edi
3:  movl    %eax, (%edi)
    addl    $8, %edi
    addl    $0x200000, %eax
    cmpl    $0x40000000, %eax
    jb      3b
    movl    $PAGES, %eax
    movl    %eax, %cr3
    movl    $0x40620, %eax          /* long addresses, SSE, its exceptions, XSAVE */
    movl    %eax, %cr4
    movl    $0xc0000080, %ecx
    movl    $0x100, %eax            /* long mode */
    xorl    %edx, %edx
    wrmsr
    movl    $0x80000013, %eax       /* paging, no emulation of floats */
    movl    %eax, %cr0
    ljmpl   $24, $long_mode

    .code64
long_mode:
    xorl    %ecx, %ecx
    xorl    %edx, %edx
    movl    $0x600e7, %eax          /* floats, SSE, AVX, AVX-512, tiles' shapes, tiles */
    xsetbv
    movl    $0xc0000100, %ecx       /* where variables of a thread end */
    movl    $thread_end, %eax
    wrmsr
    movl    $STACK, %esp
    xorl    %ebp, %ebp
    call    run
4:  hlt
    jmp     4b

    .org    510
    .short  0xaa55

    .section .bss
    .balign 64
    .skip   256
thread_end:
    .skip   64

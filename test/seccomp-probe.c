/* Installs the filter in file argv[1] with the flags argv[2], then makes each call of the following arguments
 * ("number:arg0:arg1:...", or "i386:number:..." by int 0x80) and prints its result, negative errno for a failure. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sock_filter code[4096];

static long i386(unsigned number, unsigned a, unsigned b, unsigned c) {
	long result = -ENOTSUP;
#ifdef __x86_64__
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
#else
	(void)number, (void)a, (void)b, (void)c;
	return result;
#endif
}

int main(int argc, char **argv) {
	if (argc < 3) return 2;
	int fd = open(argv[1], O_RDONLY);
	long size = read(fd, code, sizeof(code));
	if (size <= 0) return 3;
	close(fd);
	struct sock_fprog program = {.len = (unsigned short)(size / sizeof(code[0])), .filter = code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 4;
	long installed = syscall(SYS_seccomp, 1, atoi(argv[2]), &program);
	if (installed < 0) return perror("seccomp"), 5;
	if (installed > 0) printf("listener\n");
	for (int i = 3; i < argc; i++) {
		unsigned long value[7] = {0};
		char *text = argv[i], *save = NULL;
		int compat = strncmp(text, "i386:", 5) == 0;
		int n = 0;
		for (char *word = strtok_r(compat ? text + 5 : text, ":", &save); word && n < 7; word = strtok_r(NULL, ":", &save)) {
			value[n++] = strtoul(word, NULL, 0);
		}
		long result;
		if (compat) {
			result = i386((unsigned)value[0], (unsigned)value[1], (unsigned)value[2], (unsigned)value[3]);
		} else {
			result = syscall((long)value[0], value[1], value[2], value[3], value[4], value[5], value[6]);
			if (result < 0) result = -errno;
		}
		printf("%ld\n", result);
		fflush(stdout);
	}
	return 0;
}

# The shim and its variants; included by the root Makefile.

SHIM_SOURCES := $(addprefix native/,main.c buffer.c clients.c clone.c decode.c execute.c exit.c front.c hook.c init.c log.c log-format.c oneshot.c process.c requests.c runtime.c setup.c streams.c)
SHIM_HEADERS := $(wildcard native/*.h)
SHIM_CC ?= cc
SHIM_WARNINGS := -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wswitch-enum -Wshadow -Wstrict-prototypes -Wmissing-prototypes
SHIM_SANITIZE := -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all

build/onggi-shim: $(SHIM_SOURCES) $(SHIM_HEADERS) native/native.mk
	@mkdir -p build
	$(SHIM_CC) $(SHIM_WARNINGS) -O2 -fno-pie -fstack-protector-strong -static -no-pie -s -Wl,-z,noexecstack -o $@ $(SHIM_SOURCES)

# What the tests run besides: memory errors end it, and a client may stand still for two seconds only.
build/onggi-shim-asan: $(SHIM_SOURCES) $(SHIM_HEADERS) native/native.mk
	@mkdir -p build
	$(SHIM_CC) $(SHIM_WARNINGS) $(SHIM_SANITIZE) -DSTALL_NS=2000000000ull -o $@ $(SHIM_SOURCES)

# LLVMFuzzerTestOneInput with a driver of its own, because clang is not on every machine.
build/fuzz-decode: native/fuzz-decode.c native/decode.c $(SHIM_HEADERS) native/native.mk
	@mkdir -p build
	$(SHIM_CC) $(SHIM_WARNINGS) $(SHIM_SANITIZE) -DFUZZ_DRIVER -o $@ native/fuzz-decode.c native/decode.c

# celcomen.h needs no build. This file builds the tool, the examples and the tests.
#   make demo   the main job on a small tissue      make test      every test
#   make course ten programs to teach with          make playground  a tissue in the browser: build/playground.html
#   make tool   build/celcomen                      make warn      zero warnings, gcc and clang
#   make bench  timings beside peers                make recovery  the experiment of bench/README.md
#   make truth  the experiments on counts, on others' truth and on real slides
#   make shifts those on forces that a condition changes
#   make genes  those on chosen genes among many (NumPy and SciPy)
#   make big    large slides, sparse and mapped: seconds and memory
#   make svae   the model of the second paper on simulated cells (bench/svae.md)
#   make house  the layout of celcomen.h            make san   the sanitizers alone
#   make portability, make fuzz, make reliability   other machines, random input, one table of it all
#   make install PREFIX=/usr/local                  tool, manual page, header, pkg-config and CMake file

CC      ?= cc
CXX     ?= c++
CFLAGS  ?= -O2
PREFIX  ?= /usr/local
B       := build
HEADER  := celcomen.h
# -fopenmp where the compiler and its library have it.
OPENMP  := $(shell printf 'int main(void){return 0;}' > .omp_probe.c 2>/dev/null && $(CC) -fopenmp .omp_probe.c -o .omp_probe 2>/dev/null && echo -fopenmp; rm -f .omp_probe .omp_probe.c)
EXAMPLES := $(patsubst examples/%.c,$(B)/%,$(wildcard examples/[0-9]*.c))
SUITES  := $(wildcard tests/test_*.c)

.PHONY: all tool examples demo course playground test quick house san portability portability-long fuzz fuzz-long mutants coverage sanitizers cases reliability warn bench pictures big recovery truth shifts genes svae install uninstall clean
all: tool examples
tool: $(B)/celcomen
examples: $(EXAMPLES)

$(B):
	mkdir -p $(B)

$(B)/%: examples/%.c $(HEADER) | $(B)
	$(CC) $(CFLAGS) $(OPENMP) -I. $< -o $@ -lm

$(B)/celcomen: examples/draw.h examples/report.h

demo: tool
	sh examples/demo.sh $(B)/celcomen

# Ten programs, a page and a picture each: examples/course/README.md. Their pictures go to build/course. No threads: the
# tissues are small.
COURSE := $(patsubst examples/course/%.c,$(B)/course/%,$(wildcard examples/course/[0-9]*.c))
$(B)/course/%: examples/course/%.c examples/course/course.h examples/draw.h $(HEADER)
	mkdir -p $(B)/course
	$(CC) $(CFLAGS) -I. $< -o $@ -lm
course: $(COURSE)
	cd $(B)/course && for p in $(notdir $(COURSE)); do echo; echo "== $$p"; ./$$p || exit 1; done
playground: | $(B)
	sh examples/playground/build.sh $(B)

# ---- tests ----
TESTFLAGS := -std=gnu99 -g -Wall -Wextra -I. -Itests
$(B)/impl_float.o:  tests/impl.c $(HEADER) | $(B)
	$(CC) $(CFLAGS) $(OPENMP) $(TESTFLAGS) -c $< -o $@
$(B)/impl_double.o: tests/impl.c $(HEADER) | $(B)
	$(CC) $(CFLAGS) $(OPENMP) $(TESTFLAGS) -DCELCOMEN_DOUBLE -c $< -o $@
$(B)/tests_float: $(B)/impl_float.o tests/run.c tests/test.h tests/law.h $(SUITES)
	$(CC) $(CFLAGS) $(OPENMP) $(TESTFLAGS) $(B)/impl_float.o tests/run.c $(SUITES) -o $@ -lm
$(B)/tests_double: $(B)/impl_double.o tests/run.c tests/test.h tests/law.h $(SUITES)
	$(CC) $(CFLAGS) $(OPENMP) $(TESTFLAGS) -DCELCOMEN_DOUBLE $(B)/impl_double.o tests/run.c $(SUITES) -o $@ -lm
SANFLAGS := -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
$(B)/tests_san: tests/impl.c tests/run.c tests/test.h tests/law.h $(SUITES) $(HEADER) | $(B)
	$(CC) $(SANFLAGS) $(TESTFLAGS) tests/impl.c tests/run.c $(SUITES) -o $@ -lm
$(B)/alloc: tests/alloc.c tests/test.h $(HEADER) | $(B)
	$(CC) $(SANFLAGS) $(TESTFLAGS) $< -o $@ -lm
# The same two under clang, which sees arithmetic on NULL; nothing is built where clang or its runtime is absent.
CLANG := clang
CLANG_SAN = echo 'int main(void) { return 0; }' | $(CLANG) $(SANFLAGS) -x c - -o $(B)/.probe 2> /dev/null || { rm -f $@; exit 0; }; \
	$(CLANG) $(SANFLAGS) $(TESTFLAGS)
$(B)/tests_clang: tests/impl.c tests/run.c tests/test.h $(SUITES) $(HEADER) | $(B)
	$(CLANG_SAN) tests/impl.c tests/run.c $(SUITES) -o $@ -lm
$(B)/alloc_clang: tests/alloc.c tests/test.h $(HEADER) | $(B)
	$(CLANG_SAN) $< -o $@ -lm

# Everything; the last line is the tally. `make quick`: the float suites at the best kernel level.
TESTS := $(B)/tests_float $(B)/tests_double $(B)/tests_san $(B)/alloc $(B)/tests_clang $(B)/alloc_clang
test: $(TESTS) tool examples $(COURSE) $(B)/sparse_shift_vae
	CC="$(CC)" CXX="$(CXX)" sh tests/run.sh $(B)
quick: $(B)/tests_float
	$(B)/tests_float
# The layout of celcomen.h and the size of its rooms; the sanitizers of gcc and clang alone.
house:
	sh tests/house.sh
san: $(B)/tests_san $(B)/alloc $(B)/tests_clang $(B)/alloc_clang
	for t in $^; do [ ! -x $$t ] || $$t || exit 1; done

# What is installed of other compilers and machines; the parsers and rooms fed by a fuzzer, seconds or minutes a target;
# whether the tests notice a changed operator; which lines they reach; MSan, TSan, helgrind; the faults that users of such
# tools reported; and all of that in one table, which goes into the README.
portability:
	sh tests/portability.sh short
portability-long:
	sh tests/portability.sh long
fuzz: | $(B)
	sh tests/fuzz.sh $(B) 5
fuzz-long: | $(B)
	sh tests/fuzz.sh $(B) 600
mutants:
	python3 tests/mutate.py
sanitizers: | $(B)
	sh tests/sanitize.sh $(B)
cases: tool
	bash tests/cases.sh $(B)/celcomen
coverage: | $(B)
	sh tests/coverage.sh $(B)
reliability: | $(B)
	sh tests/reliability.sh $(B)

WARN := -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wcast-align -Wcast-qual -Wundef \
        -Wdouble-promotion -Wfloat-equal -Wstrict-aliasing=2 -Wmissing-declarations -Werror
warn:
	WARN="$(WARN)" sh tests/warn.sh

bench: tool
	sh bench/run.sh $(B)
# The pictures of bench/ and the README, from the figures that are kept there.
pictures: tool $(B)/pictures
	$(B)/pictures bench
	sh bench/demo_picture.sh $(B)/celcomen bench
$(B)/pictures: bench/pictures.c examples/draw.h examples/report.h | $(B)
	$(CC) $(CFLAGS) -std=c99 -Wall -Wextra -I. $< -o $@ -lm
# Slides larger than memory should be, and how much of it they take: disk and minutes, so no part of the tests.
$(B)/big: bench/big.c $(HEADER) | $(B)
	$(CC) $(CFLAGS) $(OPENMP) -I. $< -o $@ -lm
big: tool $(B)/big
	sh bench/big.sh $(B)
recovery: tool $(B)/pictures
	sh bench/recovery.sh $(B)
TRUTH := $(B)/truth_counts $(B)/truth_em $(B)/truth_misty $(B)/truth_gap $(B)/truth_slides $(B)/truth_law
$(TRUTH) $(B)/truth_shifts: $(B)/truth_%: bench/%.c bench/truth.h bench/bench.h bench/clock.h $(B)/impl_float.o
	$(CC) $(CFLAGS) $(OPENMP) -std=gnu99 -Wall -Wextra -I. $< $(B)/impl_float.o -o $@ -lm
truth: $(TRUTH) $(B)/pictures
	sh bench/truth.sh $(B)
shifts: $(B)/truth_shifts $(B)/pictures
	$(B)/truth_shifts --data $${CELCOMEN_SHARED:-../shared}/data --csv $(B)/shifts.csv > $(B)/shifts.md
	cp $(B)/shifts.csv $(B)/shifts.md bench/
	$(B)/pictures bench
PYTHON ?= python3
genes: tool
	$(PYTHON) bench/genes.py $(B)/celcomen > $(B)/genes.md
	$(PYTHON) bench/genes.py --big $(B)/celcomen >> $(B)/genes.md
	grep -q '^skipped' $(B)/genes.md || cp $(B)/genes.md bench/genes.md
$(B)/sparse_shift_vae: CFLAGS += -O3
svae: $(B)/sparse_shift_vae
	printf '%s\n\n' 'Written by `make svae`: examples/sparse_shift_vae.c on the published simulator. Settings were chosen on seed 1; the seeds below are fresh.' > $(B)/svae.md
	$(B)/sparse_shift_vae --times 1 >> $(B)/svae.md
	cp $(B)/svae.md bench/svae.md

# Quoted, because a prefix may have a space in it; with modes, because a umask may hide files from others.
WHERE = $(DESTDIR)$(PREFIX)
install: tool
	install -d "$(WHERE)/bin" "$(WHERE)/include" "$(WHERE)/lib/pkgconfig" "$(WHERE)/share/man/man1"
	install -m 755 $(B)/celcomen "$(WHERE)/bin/celcomen"
	install -m 644 $(HEADER) "$(WHERE)/include/celcomen.h"
	$(B)/celcomen --man > $(B)/celcomen.1
	install -m 644 $(B)/celcomen.1 "$(WHERE)/share/man/man1/celcomen.1"
	printf 'prefix=%s\nincludedir=$${prefix}/include\n\nName: celcomen\nDescription: forces between genes, within and between the cells of a tissue (header only)\nVersion: %s\nCflags: -I"$${includedir}"\nLibs: -lm\n' \
	  "$(PREFIX)" "$$(sed -n 's/^#define CELCOMEN_VERSION "\(.*\)"/\1/p' $(HEADER))" > $(B)/celcomen.pc
	install -m 644 $(B)/celcomen.pc "$(WHERE)/lib/pkgconfig/celcomen.pc"
	install -d "$(WHERE)/lib/cmake/celcomen"
	printf '%s\n' 'if(NOT TARGET celcomen::celcomen)' '  add_library(celcomen::celcomen INTERFACE IMPORTED)' \
	  '  get_filename_component(_celcomen "$${CMAKE_CURRENT_LIST_DIR}/../../../include" ABSOLUTE)' \
	  '  set_target_properties(celcomen::celcomen PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "$${_celcomen}")' \
	  '  if(UNIX)' '    set_target_properties(celcomen::celcomen PROPERTIES INTERFACE_LINK_LIBRARIES m)' '  endif()' 'endif()' > "$(WHERE)/lib/cmake/celcomen/celcomenConfig.cmake"
uninstall:
	rm -f "$(WHERE)/bin/celcomen" "$(WHERE)/include/celcomen.h" "$(WHERE)/lib/pkgconfig/celcomen.pc" "$(WHERE)/share/man/man1/celcomen.1"
	rm -rf "$(WHERE)/lib/cmake/celcomen"

clean:
	rm -rf $(B)

/* Tests of src/supervisor/program.c. */
#include "testing.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/program.h"

static char directory[] = "/tmp/limpet-program-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[2][PATH_MAX];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", directory, name);
	return path[turn];
}

static void write_file(const char *name, const void *bytes, size_t size)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

struct image {
	ElfW(Ehdr) header;
	ElfW(Phdr) segment;
	ElfW(Shdr) sections[2];
	char names[64];
	char interpreter[64];
};

/* interpreter, section: NULL: none. */
static struct image make_image(const char *interpreter, const char *section)
{
	struct image image = {.header = {.e_phoff = offsetof(struct image, segment),
	                          .e_phentsize = sizeof(ElfW(Phdr)),
	                          .e_phnum = 1,
	                          .e_shoff = offsetof(struct image, sections),
	                          .e_shentsize = sizeof(ElfW(Shdr)),
	                          .e_shnum = 2,
	                          .e_shstrndx = 1},
	    .segment = {.p_type = interpreter ? PT_INTERP : PT_LOAD,
	        .p_offset = offsetof(struct image, interpreter),
	        .p_filesz = interpreter ? strlen(interpreter) + 1 : 0}};

	memcpy(image.header.e_ident, ELFMAG, SELFMAG);
	image.header.e_ident[EI_CLASS] = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
	image.sections[0].sh_name = 1;
	image.sections[1].sh_offset = offsetof(struct image, names);
	strcpy(image.names + 1, section ? section : ".text");
	strcpy(image.interpreter, interpreter ? interpreter : "");
	return image;
}

static enum program kind_of(struct image image)
{
	write_file("program", &image, sizeof(image));
	return program_look_at(path_of("program"));
}

static void tells_how_programs_are_linked(void **state)
{
	assert_int_equal(kind_of(make_image(NULL, NULL)), PROGRAM_STATIC);
	assert_int_equal(kind_of(make_image("/lib64/ld-linux-x86-64.so.2", NULL)), PROGRAM_DYNAMIC);
	assert_int_equal(kind_of(make_image("/lib/ld-musl-x86_64.so.1", NULL)), PROGRAM_MUSL);
	assert_int_equal(kind_of(make_image("ld-musl-armhf.so.1", NULL)), PROGRAM_MUSL);
	assert_int_equal(kind_of(make_image("/lib/ld-linux.so.2", ".note.go.buildid")), PROGRAM_GO);
	assert_int_equal(kind_of(make_image(NULL, ".go.buildinfo")), PROGRAM_GO);
	assert_int_equal(kind_of(make_image(NULL, ".go.buildinfo2")), PROGRAM_STATIC);
}

static void leaves_bad_files_alone(void **state)
{
	struct image image = make_image(NULL, NULL);

	image.header.e_ident[EI_CLASS] = 7;
	assert_int_equal(kind_of(image), PROGRAM_UNKNOWN);
	image = make_image(NULL, NULL);
	image.header.e_phentsize = 1;
	assert_int_equal(kind_of(image), PROGRAM_UNKNOWN);
	/* What lies outside of the file is not there. */
	image = make_image(NULL, ".go.buildinfo");
	image.header.e_shoff = (ElfW(Off))-1;
	assert_int_equal(kind_of(image), PROGRAM_STATIC);
	image = make_image("/lib/ld-musl-x86_64.so.1", ".go.buildinfo");
	image.sections[0].sh_name = (ElfW(Word))-1;
	image.sections[1].sh_name = 5000;
	image.segment.p_offset = (ElfW(Off))-1;
	assert_int_equal(kind_of(image), PROGRAM_DYNAMIC);
	image.header.e_shstrndx = 40000;
	image.header.e_shnum = 65535;
	image.header.e_phnum = 65535;
	image.header.e_phoff = sizeof(image);
	assert_int_equal(kind_of(image), PROGRAM_STATIC);
	write_file("program", ELFMAG, SELFMAG);
	assert_int_equal(program_look_at(path_of("program")), PROGRAM_UNKNOWN);
	write_file("program", "MZ", 2);
	assert_int_equal(program_look_at(path_of("program")), PROGRAM_UNKNOWN);
	assert_int_equal(program_look_at(directory), PROGRAM_UNKNOWN);
	assert_int_equal(program_look_at("/nowhere/at/all"), PROGRAM_UNKNOWN);
}

static void write_script(const char *name, const char *first, const char *interpreter)
{
	char text[PATH_MAX + 64];

	snprintf(text, sizeof(text), "%s%s -x\necho\n", first, interpreter);
	write_file(name, text, strlen(text));
}

static void follows_scripts(void **state)
{
	struct image image = make_image("/lib/ld-musl-x86_64.so.1", NULL);

	write_file("program", &image, sizeof(image));
	write_script("inner", "#!", path_of("program"));
	write_script("outer", "#! \t", path_of("inner"));
	assert_int_equal(program_look_at(path_of("outer")), PROGRAM_MUSL);
	write_script("loop", "#!", path_of("loop"));
	assert_int_equal(program_look_at(path_of("loop")), PROGRAM_UNKNOWN);
	write_file("none", "#! \n", 4);
	assert_int_equal(program_look_at(path_of("none")), PROGRAM_UNKNOWN);
}

static void looks_where_exec_would(void **state)
{
	struct image image = make_image(NULL, NULL);
	char path[PATH_MAX];

	write_file("limpet-test-program", &image, sizeof(image));
	assert_int_equal(program_look(path_of("limpet-test-program")), PROGRAM_STATIC);
	snprintf(path, sizeof(path), "/nowhere::%s", directory);
	assert_int_equal(setenv("PATH", path, 1), 0);
	assert_int_equal(program_look("limpet-test-program"), PROGRAM_STATIC);
	assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
	assert_int_equal(program_look("limpet-test-program"), PROGRAM_UNKNOWN);
	assert_int_equal(chdir(directory), 0);
	assert_int_equal(setenv("PATH", ":/nowhere", 1), 0);
	assert_int_equal(program_look("limpet-test-program"), PROGRAM_STATIC);
	assert_int_equal(chdir("/"), 0);
}

static int remove_all(void **state)
{
	static const char *const names[] = {"program", "inner", "outer", "loop", "none", "limpet-test-program"};

	for (size_t i = 0; i < COUNT(names); i++)
		unlink(path_of(names[i]));
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tells_how_programs_are_linked),
	    cmocka_unit_test(leaves_bad_files_alone),
	    cmocka_unit_test(follows_scripts),
	    cmocka_unit_test(looks_where_exec_would),
	};

	if (!mkdtemp(directory))
		return 1;
	return cmocka_run_group_tests(tests, NULL, remove_all);
}

#include "supervisor/program.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRIPTS_MAX 4
#define SEGMENTS_MAX 256
#define SECTIONS_MAX 4096
#define NAMES_MAX (1u << 20)
#define LINE_MAX_OF_SCRIPT 256

/* As the kernel's own, for the machine that this is built for. */
#if __SIZEOF_POINTER__ == 8
#define OWN_CLASS ELFCLASS64
#else
#define OWN_CLASS ELFCLASS32
#endif

static bool read_at(int fd, void *to, size_t size, uint64_t offset)
{
	return offset <= INT64_MAX && pread(fd, to, size, (off_t)offset) == (ssize_t)size;
}

/* ---- ELF ---- */

/* True if there is a program interpreter, the dynamic linker; its path is in text. */
static bool find_interpreter(int fd, const ElfW(Ehdr) * header, char *text, size_t size)
{
	for (unsigned i = 0; i < header->e_phnum && i < SEGMENTS_MAX; i++) {
		ElfW(Phdr) segment;

		if (!read_at(fd, &segment, sizeof(segment), header->e_phoff + i * sizeof(segment)))
			return false;
		if (segment.p_type != PT_INTERP)
			continue;
		memset(text, 0, size);
		read_at(fd, text, segment.p_filesz < size ? segment.p_filesz : size - 1, segment.p_offset);
		return true;
	}
	return false;
}

/* Go's linker leaves these in all that it makes, also without symbols. */
static bool is_name_of_go(const char *name)
{
	return strcmp(name, ".note.go.buildid") == 0 || strcmp(name, ".go.buildinfo") == 0;
}

static bool has_section_of_go(int fd, const ElfW(Ehdr) * header)
{
	ElfW(Shdr) section, names;
	char name[32] = "";
	bool found = false;

	if (header->e_shentsize != sizeof(section) || header->e_shnum > SECTIONS_MAX ||
	    header->e_shstrndx >= header->e_shnum ||
	    !read_at(fd, &names, sizeof(names), header->e_shoff + header->e_shstrndx * sizeof(names)))
		return false;
	for (unsigned i = 0; i < header->e_shnum && !found; i++) {
		if (!read_at(fd, &section, sizeof(section), header->e_shoff + i * sizeof(section)))
			return false;
		found = section.sh_name < NAMES_MAX &&
		        pread(fd, name, sizeof(name) - 1, (off_t)(names.sh_offset + section.sh_name)) > 0 &&
		        is_name_of_go(name);
	}
	return found;
}

static enum program look_at_elf(int fd)
{
	ElfW(Ehdr) header;
	char interpreter[PATH_MAX];
	const char *name;

	if (!read_at(fd, &header, sizeof(header), 0) || header.e_ident[EI_CLASS] != OWN_CLASS ||
	    header.e_phentsize != sizeof(ElfW(Phdr)))
		return PROGRAM_UNKNOWN;
	if (has_section_of_go(fd, &header))
		return PROGRAM_GO;
	if (!find_interpreter(fd, &header, interpreter, sizeof(interpreter)))
		return PROGRAM_STATIC;
	name = strrchr(interpreter, '/');
	return strncmp(name ? name + 1 : interpreter, "ld-musl-", 8) == 0 ? PROGRAM_MUSL : PROGRAM_DYNAMIC;
}

/* ---- scripts ---- */

/* The interpreter that the first line names; NULL: none. */
static char *interpreter_of(char *line)
{
	char *start = line + 2 + strspn(line + 2, " \t");

	start[strcspn(start, " \t\n")] = '\0';
	return *start ? start : NULL;
}

static enum program look_through(const char *path, unsigned scripts)
{
	char line[LINE_MAX_OF_SCRIPT] = "";
	enum program result = PROGRAM_UNKNOWN;
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const char *next;

	if (fd < 0)
		return PROGRAM_UNKNOWN;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && pread(fd, line, sizeof(line) - 1, 0) > 0) {
		if (memcmp(line, ELFMAG, SELFMAG) == 0)
			result = look_at_elf(fd);
		else if (line[0] == '#' && line[1] == '!' && scripts < SCRIPTS_MAX &&
		         (next = interpreter_of(line)))
			result = look_through(next, scripts + 1);
	}
	close(fd);
	return result;
}

enum program program_look_at(const char *path)
{
	return look_through(path, 0);
}

/* ---- where it is ---- */

enum program program_look(const char *command)
{
	const char *list = getenv("PATH");
	char path[PATH_MAX];

	if (strchr(command, '/'))
		return program_look_at(command);
	/* What execvp() takes if there is none. */
	for (list = list ? list : "/bin:/usr/bin";; list++) {
		size_t length = strcspn(list, ":");

		if (snprintf(path, sizeof(path), "%.*s%s%s", (int)length, list, length ? "/" : "", command) <
		        (int)sizeof(path) &&
		    access(path, X_OK) == 0)
			return program_look_at(path);
		list += length;
		if (!*list)
			return PROGRAM_UNKNOWN;
	}
}

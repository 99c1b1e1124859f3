/* Runs a fuzz target on every file of the directories given, so that its corpus is an ordinary test without
 * libFuzzer. */
#include <dirent.h>
#include <string.h>

#include "fuzz.h"

/* The target gets a copy of exactly the file's size: reads past the end show under sanitizers and valgrind.
 */
static int replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = NULL;
	long size = -1;
	int result = -1;

	if (!file)
		return -1;
	if (fseek(file, 0, SEEK_END) == 0)
		size = ftell(file);
	if (size >= 0 && fseek(file, 0, SEEK_SET) == 0)
		data = malloc(size ? (size_t)size : 1);
	if (data && fread(data, 1, (size_t)size, file) == (size_t)size)
		result = LLVMFuzzerTestOneInput(data, (size_t)size);
	free(data);
	fclose(file);
	return result;
}

/* Returns the number of files, or -1. */
static int replay_directory(const char *directory)
{
	struct dirent *entry;
	DIR *entries = opendir(directory);
	char path[4096];
	int files = 0;

	if (!entries)
		return -1;
	while (files >= 0 && (entry = readdir(entries))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		if (replay_file(path) == 0) {
			files++;
		} else {
			fprintf(stderr, "%s: cannot be read, or was refused\n", path);
			files = -1;
		}
	}
	closedir(entries);
	return files;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int files = replay_directory(argv[i]);

		if (files <= 0) {
			fprintf(stderr, "replay(%s) failed; is the directory there, with files in it?\n",
			    argv[i]);
			return 1;
		}
		printf("%s: %d files\n", argv[i], files);
	}
	return argc > 1 ? 0 : 1;
}

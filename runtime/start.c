/* start.c - both engines are in the program, one for float and one for double; --double picks the second
 *
 * The Makefile compiles everything else twice and joins each set into one object that shows nothing but its cr_main. */
#include <string.h>

int cr_main_float(int argc, char **argv);
int cr_main_double(int argc, char **argv);

int main(int argc, char **argv) {
  for (int i = 1; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
    if (strcmp(argv[i], "--double") == 0) return cr_main_double(argc, argv);
    /* the values of -e and -l, and of our own options, may look like anything */
    if ((argv[i][1] == 'e' || argv[i][1] == 'l') && argv[i][2] == '\0') i++;
  }
  return cr_main_float(argc, argv);
}

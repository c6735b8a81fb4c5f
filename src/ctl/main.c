/* main.c - ga4relay-ctl's way in; everything else is in the library, where the tests reach it */
#include "ctl/ctl.h"

int main(int argc, char **argv)
{
	return ctl_main(argc, argv);
}

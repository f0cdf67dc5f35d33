/* `cribench plot A.json B.json ...`: the distributions of what was timed, all runtimes in one picture, as SVG on stdout. */
#pragma once

int plot_main(int argc, char **argv); /* the files; the process's exit status */

/* One constant entry a command, each in its own file. */
#pragma once
#include "cli/cli.h"

extern const struct command cmd_attach;
extern const struct command cmd_doctor;
extern const struct command cmd_exec;
extern const struct command cmd_help;
extern const struct command cmd_image;
extern const struct command cmd_images;
extern const struct command cmd_info;
extern const struct command cmd_inspect;
extern const struct command cmd_logs;
extern const struct command cmd_pods;
extern const struct command cmd_ps;
extern const struct command cmd_port_forward;
extern const struct command cmd_pull;
extern const struct command cmd_rm;
extern const struct command cmd_run;
extern const struct command cmd_stats;
extern const struct command cmd_stop;
extern const struct command cmd_version;

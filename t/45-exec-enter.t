# Commands by exec plan and by the OCI runtime's exec are the same in all that can be seen, in containers of crun and of runc.
# Each container is asked twice: by a daemon that enters, and by one that always uses the runtime.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;

my $c = Cricket->new(registry => 1);
my $USER = "$Cricket::REGISTRY/test/user:1";
my ($T, $F) = (JSON::PP::true(), JSON::PP::false());

sub encode { return MIME::Base64::encode_base64($_[0], '') }

# How often commands went by the runtime although the daemon may enter.
sub by_runtime { return scalar(() = (slurp($c->{log}) // '') =~ /goes by the OCI runtime/g) }

sub restart {
    my ($mode) = @_;
    $c->stop if $c->{daemon_pid};
    $c->{config} = {containers => {exec => $mode}};
    $c->start;
}

# ---- what containers there are -------------------------------------------------------------------------------------------
my $profile = "$c->{dir}/profile.json";
spew($profile, JSON::PP->new->canonical->encode({
    defaultAction => 'SCMP_ACT_ERRNO', architectures => ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32', 'SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
    syscalls => [
        {names => [qw(kill read write close execve exit_group brk mmap munmap mprotect arch_prctl set_tid_address getuid getgid geteuid getegid setuid setgid
              setgroups setresuid setresgid capset prctl fstat stat lstat newfstatat openat open getdents64 rt_sigaction rt_sigprocmask rt_sigreturn sendfile nanosleep clock_nanosleep
              wait4 fork vfork clone pipe2 pipe dup2 dup3 dup fcntl readlink readlinkat getcwd chdir uname getpid getppid ioctl lseek access faccessat futex
              fchown fchownat set_robust_list getrandom prlimit64 seccomp capget tgkill gettid statx epoll_create1 epoll_ctl epoll_pwait eventfd2 no_such_call sched_getaffinity
              sigaltstack madvise sched_yield close_range getdents umask statfs fstatfs sync rseq)], action => 'SCMP_ACT_ALLOW'},
        {names => ['personality'], action => 'SCMP_ACT_ALLOW', args => [{index => 0, value => 8, op => 'SCMP_CMP_EQ'}]},
        {names => ['socket'], action => 'SCMP_ACT_ALLOW', args => [{index => 0, value => 1, op => 'SCMP_CMP_LE'}, {index => 1, value => 15, valueTwo => 1, op => 'SCMP_CMP_MASKED_EQ'}]},
        {names => ['sysinfo'], action => 'SCMP_ACT_ALLOW', args => [{index => 0, value => 1, op => 'SCMP_CMP_EQ'}, {index => 0, value => 8, op => 'SCMP_CMP_EQ'}]},
        {names => ['mkdir'], action => 'SCMP_ACT_ERRNO', errnoRet => 95},
        {names => ['ptrace'], action => 'SCMP_ACT_KILL'},
    ]}));
my %pods = (
    plain  => {},
    shared => {pid => 'POD'},
    host   => {security => {namespace_options => {network => 'NODE', pid => 'NODE', ipc => 'NODE'}}},
    privileged => {security => {privileged => $T}},
);
sub security { return (linux => {security_context => {@_}}) }
my @containers = (
    ['defaults',       'plain', {}],
    ['a user',         'plain', {image => $USER, security(seccomp => {profile_type => 'RuntimeDefault'})}],
    ['a user without entry', 'plain', {working_dir => '/tmp', security(run_as_user => {value => 77}, run_as_group => {value => 78}, supplemental_groups => [5, 6],
        no_new_privs => $T, seccomp => {profile_type => 'RuntimeDefault'}, capabilities => {drop_capabilities => ['ALL'], add_capabilities => ['NET_BIND_SERVICE']})}],
    ['ambient capabilities', 'plain', {image => $USER, security(capabilities => {add_ambient_capabilities => ['NET_RAW']})}],
    ['a profile of the node', 'plain', {security(seccomp => {profile_type => 'Localhost', localhost_ref => $profile})}],
    ['a read-only root', 'plain', {security(readonly_rootfs => $T), envs => [{key => 'HOME', value => encode('/h')}, {key => 'A', value => encode("b c\nd")}]}],
    ['limits',         'plain', {linux => {resources => {memory_limit_in_bytes => 64 << 20, cpu_quota => 50000, cpu_period => 100000, oom_score_adj => 500}}}],
    ['a terminal',     'plain', {tty => $T, stdin => $T}],
    ['a shared PID namespace', 'shared', {linux => {security_context => {namespace_options => {pid => 'POD'}}}}],
    ["the host's namespaces", 'host', {linux => {security_context => {namespace_options => {network => 'NODE', pid => 'NODE', ipc => 'NODE'}}}}],
    ['all privileges', 'privileged', {security(privileged => $T)}],
);

# ---- what is asked -------------------------------------------------------------------------------------------------------
my %seccomp = map { $_ => 1 } 'a user', 'a user without entry', 'a profile of the node';
my $STATUS = qr/^(?:Umask|PPid|Uid|Gid|Groups|SigPnd|ShdPnd|SigBlk|SigIgn|SigCgt|Cap\w+|NoNewPrivs|Seccomp\w*|Specul\w+|Cpus_allowed|Mems_allowed|Threads):.*/m;

sub answer {
    my ($id, @command) = @_;
    my $o = $c->client->finish($c->client->start('ExecSync', {container_id => $id, cmd => \@command, timeout => 20}));
    return "$o->{code}: $o->{message}" =~ s/(in container \S+:).*?"level".*/$1/sr if $o->{code};
    return join "\n--\n", $o->{reply}{exit_code} // 0, map { MIME::Base64::decode_base64($o->{reply}{$_} // '') } qw(stdout stderr);
}

# By names: what to ask, and how to make two answers comparable. Each command is the asked process itself, without a shell.
my @questions = (
    # in the host's PID namespace the parent is the daemon or the runtime; glibc's posix_spawn ignores signals 32 and 33
    [status => ['cat', '/proc/self/status'],
     sub { join("\n", $_[0] =~ /$STATUS/g) =~ s/^PPid:\t[1-9].*/PPid: of the host/mr =~ s/^(SigIgn:\t0{7})[01][08](0{7})$/$1...$2/mr }],
    [cgroup => ['cat', '/proc/self/cgroup']],
    [limits => ['cat', '/proc/self/limits']],
    [oom => ['cat', '/proc/self/oom_score_adj']],
    [environment => ['cat', '/proc/self/environ'], sub { $_[0] =~ tr/\0/\n/r }],
    [directory => ['readlink', '/proc/self/cwd']],
    [root => ['stat', '-c', '%d %i', '/']],
    [label => ['cat', '/proc/self/attr/current']],
    [namespaces => ['sh', '-c', 'for n in /proc/self/ns/*; do echo $n $(readlink $n); done']],
    [descriptors => ['ls', '/proc/self/fd']],
    [stdio => ['stat', '-L', '-c', '%u %g %a %F', '/proc/self/fd/1', '/proc/self/fd/2']],
    [keyrings => ['grep', '-c', '_ses', '/proc/keys']],
    [stdin => ['cat']],
    [memory => ['cat', '/proc/self/mountinfo'], sub { $_[0] =~ s/^\d+ \d+ //mgr }],
    [arguments => ['printf', '%s|', '', ' ', '-', "a\nb", "\x{e4}", '$HOME', 'x' x 100000]],
    [streams => ['sh', '-c', 'echo out; echo err >&2']],
);
# ... and what has little to do with the container, asked in two of them.
my %thorough = map { $_ => 1 } 'defaults', 'a user without entry';
my @ends = (
    (map { my $n = $_; ["exit $n" => ['sh', '-c', "exit $n"]] } 0, 1, 2, 126, 127, 128, 137, 254, 255),
    (map { my $s = $_; ["signal $s" => ['sh', '-c', "kill -$s \$\$"]] } 'KILL', 'TERM', 'SEGV', 'HUP'),
    [missing => ['no-such-program']],
    ['missing path' => ['/no/such/program']],
    [directory => ['/etc']],
    ['no program' => ['/etc/passwd']],
    ['no program in a path' => ['etc/passwd']],
    ['a file that is none' => ['/tmp/none']],
    ['a script' => ['/tmp/script', 'x']],
    ['a script without interpreter' => ['/tmp/orphan']],
    ['a relative path' => ['bin/busybox', 'true']],
);
my $PREPARE = q{mkdir -p /tmp; echo text > /tmp/none; printf '#!/bin/sh\necho script $1\n' > /tmp/script; printf '#!/no/such\n' > /tmp/orphan; }
  . q{chmod 755 /tmp/script /tmp/orphan; echo ready; };

# Of a process that runs `sleep N`, on the host.
sub sleeper {
    my ($n) = @_;
    return wait_for("sleep $n", sub { my ($d) = grep { (slurp("$_/cmdline") // '') eq "sleep\0$n\0" } glob '/proc/[0-9]*'; $d && $d =~ s/.*\///r });
}

sub filter {
    my ($id, $n) = @_;
    my $call = $c->client->start('ExecSync', {container_id => $id, cmd => ['sleep', "$n"], timeout => 60});
    my $pid = sleeper($n);
    my ($rc, $text) = run('python3', "$FindBin::Bin/lib/filters.py", 'dump', $pid);
    kill KILL => $pid;
    $c->client->finish($call);
    return $rc == 0 ? $text =~ s/\s//gr : die $text;
}

# Everything that a container answers.
sub ask {
    my ($m, $mode) = @_;
    my %answers;
    for my $q (@questions, $thorough{$m->{what}} ? @ends : ()) {
        my ($name, $command, $take) = @$q;
        my $text = answer($m->{id}, @$command);
        $answers{$name} = $take ? $take->($text) : $text;
    }
    $answers{filter} = filter($m->{id}, 40000 + $m->{n}) if $seccomp{$m->{what}};
    return \%answers;
}

my (@made, @pods);
restart('auto');
$c->pull($_) for $Cricket::BUSYBOX, $USER;
for my $handler ('crun', 'runc') {
    my %pod;
    for my $name (sort keys %pods) {
        my $cfg = $c->pod_config(name => "$name-$handler", %{$pods{$name}});
        $pod{$name} = [$c->run_pod($cfg, handler => $handler), $cfg];
        push @pods, $pod{$name}[0];
    }
    for my $row (@containers) {
        my ($what, $pod, $over) = @$row;
        my %over = %$over;
        my $config = $c->container_config("${PREPARE}sleep 1000 & wait", %over);
        $config->{linux}{security_context}{namespace_options} = $over->{linux}{security_context}{namespace_options}
          if $over->{linux}{security_context}{namespace_options};
        push @made, {what => $what, handler => $handler, n => scalar @made, id => $c->run_container(@{$pod{$pod}}, $config)};
        wait_for("$what to be ready", sub { (slurp("$pod{$pod}[1]{log_directory}/$config->{log_path}") // '') =~ /ready/ });
    }
}

my %failing = map { $_ => 1 } 'missing', 'missing path', 'directory', 'no program', 'no program in a path', 'a file that is none', 'a script without interpreter';
for my $m (@made) {
    my $before = by_runtime();
    $m->{auto} = ask($m);
    my $fell_back = by_runtime() - $before;
    cmp_ok $fell_back, '<=', scalar(keys %failing) + 2, "$m->{handler}, $m->{what}: only what fails goes by the runtime";
    $before = by_runtime();
    answer($m->{id}, 'true');
    is by_runtime(), $before, '... and what works does not';
}
restart('runtime');
for my $m (@made) {
    my $by_runtime = ask($m);
    my $what = "$m->{handler}, $m->{what}";
    for my $name (sort keys %$by_runtime) {
        next if $name eq 'oom' && $m->{handler} eq 'crun';       # below
        next if $name eq 'filter' && $m->{handler} eq 'runc';    # below
        is $m->{auto}{$name} , $by_runtime->{$name} , "$what: $name";
    }
    if ($by_runtime->{filter} && $m->{handler} eq 'runc') {
        spew("$c->{dir}/filter-$_->[0]", $_->[1]) for ['plan', $m->{auto}{filter}], ['runc', $by_runtime->{filter}];
        my ($rc, $text) = run('python3', "$FindBin::Bin/lib/filters.py", 'same', map { "$c->{dir}/filter-$_" } 'plan', 'runc');
        is $rc, 0, "$what: the filter says the same" or diag $text;
    }
}
# crun leaves a command the daemon's own; a container's command must not have the daemon's protection
is $_->{auto}{oom}, "0\n--\n500\n\n--\n", "$_->{handler}: oom_score_adj is the container's" for grep { $_->{what} eq 'limits' } @made;
$c->remove_pod($_) for @pods;

# ---- what changes while it runs ------------------------------------------------------------------------------------------
restart('auto');
sub entered { return grep { (slurp("$_/cmdline") // '') =~ /^cricket-enter/ } glob '/proc/[0-9]*' }

for my $handler ('crun', 'runc') {
    my $cfg = $c->pod_config(name => "change-$handler");
    my $pod = $c->run_pod($cfg, handler => $handler);
    my $run = sub { $c->run_container($pod, $cfg, $c->container_config(@_)) };
    my $id  = $run->('sleep 1000 & wait', working_dir => '/only-inside', image => $USER, security(run_as_user => {value => 0}, seccomp => {profile_type => 'RuntimeDefault'}));
    answer($id, 'true');
    is answer($id, 'sh', '-c', 'rmdir /only-inside; sleep 0.1'), "0\n--\n\n--\n", "$handler: a directory goes";
    my $before = $c->settled;
    like answer($id, 'true'), qr{^INTERNAL: .*chdir.*/only-inside}, '... which is an error that names it';
    ok !-e $_, '... and the host has not got it' for '/only-inside';
    $c->is_as_before($before, "$handler: a failed command");

    $id = $run->('sleep 1000 & wait', image => $USER);
    is answer($id, 'sh', '-c', 'echo $HOME'), "0\n--\n/home/app\n\n--\n", "$handler: HOME by passwd";
    my $rootfs = "$c->{state}/containers/$id/rootfs";
    unlink "$rootfs/etc/passwd";
    is answer($id, 'sh', '-c', 'echo $HOME'), "0\n--\n" . ($handler eq 'crun' ? '' : '/') . "\n\n--\n", '... without one';
    run('mkfifo', "$rootfs/etc/passwd");
    is answer($id, 'sh', '-c', 'echo $HOME'), "0\n--\n" . ($handler eq 'crun' ? '' : '/') . "\n\n--\n", '... with a pipe in its place';
    spew("$rootfs/tmp/self", "#!/proc/self/exe\n");
    chmod 0755, "$rootfs/tmp/self";
    my @self = (answer($id, '/proc/self/exe'), answer($id, '/tmp/self'));
    like $_, qr/only cricketd starts this program/, "$handler: /proc/self/exe is a sealed copy, which does nothing" for @self;

    # a process of the container cannot look into one that enters
    $id = $run->(q{while true; do for p in /proc/[0-9]*; do cat $p/environ >/dev/null 2>&1; ls $p/exe $p/fd $p/root 2>/dev/null | grep -E 'memfd|cricket'; done; done});
    answer($id, 'true') for 1 .. 100;
    is $c->log_text($cfg, {log_path => (grep { $_->{id} eq $id } @{$c->call('ListContainers', {})->{containers}})[0]{metadata}{name} . '.log'}), '',
      "$handler: nothing of ours is seen in the container";
    $c->call('StopContainer', {container_id => $id, timeout => 0});

    # limits
    $id = $run->('sleep 1000 & wait');
    my $dir = (slurp('/proc/' . JSON::PP->new->decode($c->call('ContainerStatus', {container_id => $id, verbose => $T})->{info}{info})->{pid} . '/cgroup') =~ /pids:(.*)/)[0];
    SKIP: {
        skip 'no pids controller of v1', 1 if !$dir;
        answer($id, 'true');
        my $procs = () = slurp("/sys/fs/cgroup/pids$dir/cgroup.procs") =~ /\d+/g;
        spew("/sys/fs/cgroup/pids$dir/pids.max", "$procs\n");
        my @full = (answer($id, 'true'), answer($id, 'sh', '-c', 'true | true'));
        if ($handler eq 'crun') {    # runc's own exec needs more
            is $full[0], "0\n--\n\n--\n", "$handler: a command in a container that may have no more processes";
            like $full[1], qr/^2\n--\n\n--\n.*fork/, '... which cannot make another';
        }
        spew("/sys/fs/cgroup/pids$dir/pids.max", "max\n");
        is answer($id, 'true'), "0\n--\n\n--\n", "$handler: a command in a container that may have processes again";
    }
    $id = $run->('sleep 1000 & wait', linux => {resources => {memory_limit_in_bytes => 32 << 20}});
    is answer($id, 'tail', '-c', '190000000', '/dev/zero'), "137\n--\n\n--\n", "$handler: the limit of memory holds for commands";

    # the end of the container
    $id = $run->('sleep 1000 & wait');
    answer($id, 'true');
    my @running = map { $c->client->start('ExecSync', {container_id => $id, cmd => ['sleep', '1000'], timeout => 60}) } 1 .. 5;
    wait_for('them to run', sub { 5 == grep { (slurp("$_/cmdline") // '') eq "sleep\0001000\0" && slurp("$_/status") =~ /PPid:\t$c->{daemon_pid}\n/ } glob '/proc/[0-9]*' });
    $c->call('StopContainer', {container_id => $id, timeout => 0});
    is $c->client->finish($_)->{reply}{exit_code}, 137, "$handler: a command in a container that is stopped" for @running;
    like answer($id, 'true'), qr/^FAILED_PRECONDITION/, '... and after it';

    # many
    $id = $run->('sleep 1000 & wait');
    answer($id, 'true');
    $before = $c->settled;
    my @calls = map { $c->client->start('ExecSync', {container_id => $id, cmd => ['sh', '-c', "echo $_; exit " . $_ % 256], timeout => 60}) } 1 .. 200;
    my @got = map { $c->client->finish($_)->{reply} } @calls;
    is_deeply [map { [$_->{exit_code} // 0, MIME::Base64::decode_base64($_->{stdout} // '')] } @got], [map { [$_ % 256, "$_\n"] } 1 .. 200], "$handler: 200 at once";
    $c->is_as_before($before, '... which');
    $c->call('StopContainer', {container_id => $id, timeout => 0});
    $c->leaks_nothing("$handler: commands in a container that goes", sub {
        my $own = $run->('sleep 1000 & wait');
        answer($own, 'true') for 1 .. 3;
        $c->call('StopContainer', {container_id => $own, timeout => 0});
        $c->call('RemoveContainer', {container_id => $own});
        unlink grep { !-s } glob "$cfg->{log_directory}/*";
    });
    $c->remove_pod($pod);
    wait_for('the last cricket-enter to end', sub { !entered() });
}
$c->stop;

# ---- a cricket-enter that does not run -----------------------------------------------------------------------------------
my $helpers = "$c->{dir}/helpers";
mkdir $helpers;
symlink "$Cricket::BUILD/$_", "$helpers/$_" for qw(cricket-keeper cricket-unpack cricket-pause);
for my $row (["no program", "text\n"], ['one that ends at once', slurp('/bin/false')]) {
    my ($what, $content) = @$row;
    spew("$helpers/cricket-enter", $content);
    chmod 0755, "$helpers/cricket-enter";
    $c->{config} = {helper_dir => $helpers};
    $c->start;
    my $cfg = $c->pod_config;
    my $pod = $c->run_pod($cfg);
    my $id  = $c->run_container($pod, $cfg, $c->container_config('sleep 1000 & wait'));
    is answer($id, 'sh', '-c', 'echo out; exit 3'), "3\n--\nout\n\n--\n", "cricket-enter is $what: the runtime does it" for 1 .. 3;
    my $before = $c->settled;
    answer($id, 'true');
    $c->is_as_before($before, '... which');
    $c->remove_pod($pod);
    $c->stop;
}
done_testing;

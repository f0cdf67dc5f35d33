# Containers: life, logs, exec, process settings, mounts, resources, errors; on every handler that works here.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;

my $c = Cricket->new(registry => 1);
$c->start;
$c->pull($_) for $Cricket::BUSYBOX, "$Cricket::REGISTRY/test/user:1";

our $pod_config = $c->pod_config(name => 'main',
    dns_config => {servers => ['10.0.0.10', 'fd00::10'], searches => ['a.test', 'b.test'], options => ['ndots:5']});
our $pod = $c->run_pod($pod_config);

sub listed { return map { $_->{id} } @{$c->call('ListContainers', {filter => $_[0] // {}})->{containers}} }

sub remove { $c->call('RemoveContainer', {container_id => $_[0]}) }

# Runs a container to its end: (status, log text).
sub run_out {
    my ($script, %o) = @_;
    my $config = $c->container_config($script, %o);
    my $id = $c->run_container($pod, $pod_config, $config);
    my $status = $c->wait_exited($id);
    remove($id);
    return ($status, $c->log_text($pod_config, $config));
}

# What a script prints, in a container with these settings.
sub says {
    my ($script, %o) = @_;
    return (run_out($script, %o))[1];
}

sub encode   { return MIME::Base64::encode_base64($_[0], '') }
sub linux    { return (linux => {@_}) }
sub security { return (linux => {security_context => {@_}}) }

run_out('true');    # the runtime makes the pod's cgroup in every hierarchy with the first container
unlink glob "$pod_config->{log_directory}/*";

# ---- life ----------------------------------------------------------------------------------------------------------------
$c->leaks_nothing('a container', sub {
    my $config = $c->container_config('echo hello; echo oops >&2; exit 3', labels => {app => 'x'}, annotations => {a => 'b'});
    my $id = $c->create_container($pod, $pod_config, $config);
    my $s = $c->container_status($id);
    is $s->{state}, 'CONTAINER_CREATED', 'created';
    is_deeply $s->{labels}, {app => 'x'}, '... with its labels';
    is $s->{image}{image}, $Cricket::BUSYBOX, '... its image';
    is $c->create_container($pod, $pod_config, $config), $id, 'the same metadata again gives the same container';
    is_deeply [listed()], [$id], 'ListContainers';
    is_deeply [listed($_->[0])], $_->[1], "... filtered by $_->[2]"
      for [{id => substr $id, 0, 13}, [$id], 'a prefix of the id'], [{pod_sandbox_id => $pod}, [$id], 'pod'],
      [{pod_sandbox_id => 'x'}, [], 'another pod'], [{label_selector => {app => 'x'}}, [$id], 'label'],
      [{label_selector => {app => 'y'}}, [], 'another label'], [{state => {state => 'CONTAINER_RUNNING'}}, [], 'state'];
    my $as_listed = sub { return $c->call('ListContainers')->{containers}[0]{state} };
    is $as_listed->(), 'CONTAINER_CREATED', 'the list has its state';
    $c->call('StartContainer', {container_id => $id});
    $s = $c->wait_exited($id);
    is $as_listed->(), 'CONTAINER_EXITED', '... which changes with it';
    is $s->{exit_code}, 3, 'the exit code';
    is $s->{reason}, 'Error', '... and reason';
    cmp_ok $s->{created_at}, '<', $s->{started_at}, 'created before started';
    cmp_ok $s->{started_at}, '<=', $s->{finished_at}, 'started before finished';
    is $c->log_text($pod_config, $config), "hello\noops\n", 'the log';
    like slurp("$pod_config->{log_directory}/$config->{log_path}"),
      qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) stdout F hello\n\S+ stderr F oops\n$/, '... in the CRI format';
    ok $c->call('StopContainer', {container_id => $id, timeout => 1}), 'stopping an exited container is no error';
    remove($id);
    ok remove($id), 'removing it again is no error';
    $c->fails_with('NOT_FOUND', qr/\Q$id\E/, 'ContainerStatus', {container_id => $id});
    $c->fails_with('NOT_FOUND', qr/\Q$id\E/, 'StartContainer',  {container_id => $id});
    unlink glob "$pod_config->{log_directory}/*";
});
is((run_out('exit 0'))[0]{reason}, 'Completed', 'exit 0 is Completed');

# ---- stop ----------------------------------------------------------------------------------------------------------------
for my $row (
    ['at once by its signal', q{trap 'echo term; exit 5' TERM; echo up; while :; do sleep 0.1; done}, 10, 5],
    ['by SIGKILL in the end', q{trap '' TERM; echo up; while :; do sleep 0.1; done},                  1,  137],
    ['with no time',          q{trap '' TERM; echo up; while :; do sleep 0.1; done},                  0,  137],
  ) {
    my ($what, $script, $timeout, $code) = @$row;
    my $config = $c->container_config($script);
    my $id = $c->run_container($pod, $pod_config, $config);
    wait_for('it to be up', sub { $c->log_text($pod_config, $config) =~ /up/ });
    my $began = time;
    is_deeply [listed({state => {state => 'CONTAINER_RUNNING'}})], [$id], 'it is listed as running';
    $c->call('StopContainer', {container_id => $id, timeout => $timeout});
    is_deeply [listed({state => {state => 'CONTAINER_RUNNING'}})], [], '... and not when it is stopped';
    my $s = $c->container_status($id);
    is_deeply [@$s{qw(state exit_code)}], ['CONTAINER_EXITED', $code], "stopped $what: $code";
    cmp_ok time - $began, '<', $timeout + 4, '... in time';
    remove($id);
}
$c->leaks_nothing('removing a container that runs', sub { remove($c->run_container($pod, $pod_config, $c->container_config('sleep 1000'))) });
{
    my $config = $c->container_config(q{trap 'echo got usr1; exit 0' USR1; echo up; while :; do sleep 0.1; done},
        image => "$Cricket::REGISTRY/test/user:1");
    my $id = $c->run_container($pod, $pod_config, $config);
    wait_for('it to be up', sub { $c->log_text($pod_config, $config) =~ /up/ });
    $c->call('StopContainer', {container_id => $id, timeout => 10});
    like $c->log_text($pod_config, $config), qr/got usr1/, 'the stop signal of the image';
    remove($id);
}

# ---- logs ----------------------------------------------------------------------------------------------------------------
is length says('head -c 100000 /dev/zero | tr "\0" x; echo'), 100001, 'a line of 100000 bytes in parts';
is says('i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done'), join('', map { "line $_\n" } 0 .. 4999), 'five thousand lines in order';
is says('printf "no newline"') =~ s/\n//r, 'no newline', 'a last line without its newline';
like says('tty; echo out', tty => JSON::PP::true()), qr{^/dev/(pts/\d+|console)\r?\nout\r?\n}, 'a terminal';
{
    my $config = $c->container_config('i=0; while :; do echo $i; i=$((i+1)); sleep 0.01; done');
    my $id = $c->run_container($pod, $pod_config, $config);
    my $log = "$pod_config->{log_directory}/$config->{log_path}";
    wait_for('some lines', sub { (slurp($log) // '') =~ /F 5\n/ });
    rename $log, "$log.1";
    $c->call('ReopenContainerLog', {container_id => $id});
    ok -e $log, 'ReopenContainerLog: the new file is there when it returns';
    wait_for('more lines', sub { (slurp($log) // '') =~ /\n.*\n/ });
    $c->call('StopContainer', {container_id => $id, timeout => 0});
    my @numbers = map { /F (\d+)$/ } split /\n/, slurp("$log.1") . slurp($log);
    is_deeply \@numbers, [0 .. $#numbers], '... and no line is lost between the two';
    $c->fails_with('FAILED_PRECONDITION', qr/run/, 'ReopenContainerLog', {container_id => $id});
    remove($id);
}

# ---- exec ----------------------------------------------------------------------------------------------------------------
{
    my $id = $c->run_container($pod, $pod_config, $c->container_config('sleep 1000 & wait'));    # PID 1 reaps
    is_deeply [$c->exec_sync($id, 'sh', '-c', 'echo out; echo err >&2; exit 4')], [4, "out\n", "err\n"], 'ExecSync';
    is_deeply [$c->exec_sync($id, 'true')], [0, '', ''], '... with no output';
    is length(($c->exec_sync($id, 'sh', '-c', 'head -c 1000000 /dev/zero'))[1]), 1000000, '... with a megabyte';
    is length(($c->exec_sync($id, 'sh', '-c', 'head -c 20000000 /dev/zero'))[1]) < 17 << 20, 1, '... with more than is carried: cut';
    my ($code, undef, $err) = eval { $c->exec_sync($id, 'no-such-program') };
    ok $@ || $code, '... of a program that is not there' or diag $err;
    $c->fails_with('INVALID_ARGUMENT', qr/command|cmd/, 'ExecSync', {container_id => $id});
    $c->leaks_nothing('an ExecSync that takes too long', sub {
        $c->fails_with('DEADLINE_EXCEEDED', qr/1/, 'ExecSync', {container_id => $id, cmd => ['sleep', '50'], timeout => 1});
        wait_for('its process to end', sub { ($c->exec_sync($id, 'sh', '-c', 'pgrep -f "sleep 5[0]"; true'))[1] eq '' });
    });
    $c->leaks_nothing('an ExecSync whose child stays', sub {
        is +($c->exec_sync($id, 'sh', '-c', 'sleep 3 & echo started'))[1], "started\n", 'returns';
        wait_for('the child to end', sub { ($c->exec_sync($id, 'sh', '-c', 'pgrep -f "sleep [3]"; true'))[1] eq '' });
    });
    $c->leaks_nothing('fifty ExecSyncs at once', sub {
        my @calls = map { $c->client->start('ExecSync', {container_id => $id, cmd => ['echo', "$_"], timeout => 30}) } 1 .. 50;
        is scalar(grep { $c->client->finish($_)->{reply} } @calls), 50, 'all of them end';
    });
    $c->call('StopContainer', {container_id => $id, timeout => 0});
    $c->fails_with('FAILED_PRECONDITION', qr/run/, 'ExecSync', {container_id => $id, cmd => ['true']});
    remove($id);
}

# ---- the process ---------------------------------------------------------------------------------------------------------
my $user = "$Cricket::REGISTRY/test/user:1";
like says('id; pwd; echo $WHO', image => $user), qr{uid=1000\(app\) gid=1001\(app\).*2000\(extra\).*\n/home/app\ncricket\n}s, "the image's user, directory, environment";
like says(undef, image => $user, command => [], args => []), qr{uid=1000.*\n/home/app\ncricket}s, "the image's entrypoint and command";
like says(undef, image => $user, command => [], args => ['echo args']), qr/^args$/, "the image's entrypoint and our args";
is says(undef, image => $user, command => ['echo', 'mine']), "mine\n", 'our command alone';
is says('echo $A $WHO', image => $user, envs => [{key => 'A', value => encode('b')}, {key => 'WHO', value => encode('me')}]), "b me\n", 'environment over the image\'s';
is says('pwd', working_dir => '/tmp'), "/tmp\n", 'working directory';
is says('id -u; id -g', security(run_as_user => {value => 7}, run_as_group => {value => 8})), "7\n8\n", 'numeric user and group';
like says('id', security(run_as_username => 'app')), qr/uid=1000.*gid=1001/, 'user by name';
like says('id -G', security(run_as_user => {value => 7}, supplemental_groups => [55, 66])), qr/\b55 66\b/, 'supplemental groups';
is says('hostname'), "main\n", "the pod's host name";
is says('cat /etc/resolv.conf'), "nameserver 10.0.0.10\nnameserver fd00::10\nsearch a.test b.test\noptions ndots:5\n", "the pod's resolv.conf";

# ---- security ------------------------------------------------------------------------------------------------------------
sub cap { no warnings 'portable'; return says("grep $_[0] /proc/self/status", security(@_[1 .. $#_])) =~ /:\s*(\w+)/ ? hex $1 : undef }
is sprintf('%x', cap('CapBnd')), 'a80425fb', 'the default capabilities';
is cap('CapBnd', capabilities => {drop_capabilities => ['ALL']}), 0, 'drop ALL';
is cap('CapBnd', capabilities => {drop_capabilities => ['ALL'], add_capabilities => ['NET_ADMIN']}), 1 << 12, 'drop ALL, add one';
{
    local ($pod_config, $pod) = $c->pod_config(name => 'privileged', security => {privileged => JSON::PP::true()});
    $pod = $c->run_pod($pod_config);
    ok cap('CapBnd', privileged => JSON::PP::true()) & 1 << 21, 'privileged';
    like says('ls /dev', security(privileged => JSON::PP::true())), qr/^kmsg$/m, '... has the devices of the host';
    $c->remove_pod($pod);
}
$c->fails_with('INVALID_ARGUMENT', qr/privileged/, 'CreateContainer', {pod_sandbox_id => $pod, sandbox_config => $pod_config,
    config => $c->container_config('true', security(privileged => JSON::PP::true()))});
is cap('NoNewPrivs', no_new_privs => JSON::PP::true()), 1, 'no_new_privs';
is cap('Seccomp:', seccomp => {profile_type => 'RuntimeDefault'}), 2, 'seccomp RuntimeDefault';
is cap('Seccomp:', seccomp => {profile_type => 'Unconfined'}), 0, 'seccomp Unconfined';
like says('touch /x && echo written', security(readonly_rootfs => JSON::PP::true())), qr/Read-only/, 'a read-only root';
is says('cat /proc/timer_list | wc -c', security(masked_paths => ['/proc/timer_list', '/proc/no-such'])), "0\n", 'masked paths';
like says('echo 0 > /proc/sys/kernel/panic', security(readonly_paths => ['/proc/sys'])), qr/Read-only/, 'read-only paths';

# ---- mounts --------------------------------------------------------------------------------------------------------------
my $volume = "$c->{dir}/volume";
mkdir $volume;
spew("$volume/file", "data\n");
is says('cat /v/file; echo new > /v/new', mounts => [{host_path => $volume, container_path => '/v'}]), "data\n", 'a volume';
is slurp("$volume/new"), "new\n", '... that can be written';
like says('echo x > /v/no', mounts => [{host_path => $volume, container_path => '/v', readonly => JSON::PP::true()}]), qr/Read-only/, 'a read-only volume';
{
    my %ro = (host_path => $volume, container_path => '/v', readonly => JSON::PP::true());
    my %rro = (%ro, recursive_read_only => JSON::PP::true());
    mkdir "$volume/below";
    run(qw(mount -t tmpfs none), "$volume/below");
    is says('echo x > /v/below/file && cat /v/below/file', mounts => [{%ro}]), "x\n", 'what is mounted below a read-only volume can be written';
    like says('echo x > /v/below/no', mounts => [{%rro}]), qr/Read-only/, '... but not if it is recursively read-only';
    $c->fails_with('INVALID_ARGUMENT', qr{mounts\[0\] /v: recursive_read_only}, 'CreateContainer',
        {pod_sandbox_id => $pod, sandbox_config => $pod_config, config => $c->container_config('true', mounts => [$_])})
      for {%rro, readonly => JSON::PP::false()}, {%rro, propagation => 'PROPAGATION_HOST_TO_CONTAINER'};
    run('umount', "$volume/below");
}
like says('df -k /dev/shm | tail -n 1'), qr/\b65536\b/, '/dev/shm';
$c->leaks_nothing('a volume whose source is a file that is not there', sub {
    my $e = $c->fails('CreateContainer', {pod_sandbox_id => $pod, sandbox_config => $pod_config, config =>
        $c->container_config('true', mounts => [{host_path => '/proc/no/such', container_path => '/v'}])});
    like $e->{message}, qr{/proc/no\b}, 'is an error that names it';
});

# ---- resources -----------------------------------------------------------------------------------------------------------
sub limit {
    my ($v1, $v2, %resources) = @_;
    return says("cat /sys/fs/cgroup/$v1 2>/dev/null || cat /sys/fs/cgroup/$v2", linux(resources => \%resources)) =~ s/\n//r;
}
is limit('memory/memory.limit_in_bytes', 'memory.max', memory_limit_in_bytes => 64 << 20), 64 << 20, 'the limit of memory';
like limit('pids/pids.max', 'pids.max', ), qr/./, 'the limit of processes is readable';
like limit('cpu/cpu.cfs_quota_us', 'cpu.max', cpu_quota => 50000, cpu_period => 100000), qr/^50000/, 'the quota of CPU';
{
    my ($s) = run_out('head -c 100000000 /dev/zero | tail -c 190000000 | wc -c', linux(resources => {memory_limit_in_bytes => 32 << 20}));
    ok $s->{exit_code} != 0 || $s->{reason} eq 'OOMKilled', 'more memory than the limit is not given';
    ($s) = run_out('exec tail -c 190000000 /dev/zero', linux(resources => {memory_limit_in_bytes => 32 << 20}));
    is $s->{reason}, 'OOMKilled', 'and PID 1 that asks for it is OOMKilled';
    is $s->{exit_code}, 137, '... with 137';
}
is says('cat /proc/self/oom_score_adj', linux(resources => {oom_score_adj => 500})), "500\n", 'oom_score_adj';

# ---- what must fail ------------------------------------------------------------------------------------------------------
for my $row (
    ['an image that is not there', {image => {image => 'nothing:1'}},                              undef,              qr/nothing:1/],
    ['no metadata',                {metadata => undef},                                            'INVALID_ARGUMENT', qr/metadata/],
    ['an unknown capability',      {security(capabilities => {add_capabilities => ['FLY']})},      'INVALID_ARGUMENT', qr/FLY/],
    ['a user that is not there',   {security(run_as_username => 'ghost')},                         undef,              qr/ghost/],
    ['a seccomp file that is not there', {security(seccomp => {profile_type => 'Localhost', localhost_ref => '/no/such.json'})}, undef, qr{/no/such\.json}],
  ) {
    my ($what, $over, $code, $message) = @$row;
    $c->leaks_nothing("a container with $what", sub {
        my $config = $c->container_config('true', %$over);
        delete $config->{metadata} if exists $over->{metadata};
        $config->{image} = $over->{image} if $over->{image};
        my $e = $c->fails('CreateContainer', {pod_sandbox_id => $pod, sandbox_config => $pod_config, config => $config});
        like $e->{message}, $message, "$what fails and says why ($e->{code})" or diag $e->{message};
        is $e->{code}, $code, '... with the code' if $code;
    });
}
$c->leaks_nothing('a container whose program is not there', sub {
    my $config = $c->container_config(undef, command => ['/no/such/program']);
    my $o = $c->client->finish($c->client->start('CreateContainer', {pod_sandbox_id => $pod, sandbox_config => $pod_config, config => $config}));
    if (my $id = $o->{reply}{container_id}) {
        $o = $c->client->finish($c->client->start('StartContainer', {container_id => $id}));
        remove($id);
    }
    like $o->{message} // '', qr{/no/such/program}, 'fails and names it';
});
$c->fails_with('NOT_FOUND', qr/absent/, 'CreateContainer', {pod_sandbox_id => 'absent', config => $c->container_config('true')});
$c->remove_pod($pod);

# ---- the whole path on each handler --------------------------------------------------------------------------------------
my @ports = (port_mappings => [{host_port => 18080, container_port => 80}]);
$c->remove_pod($c->run_pod($c->pod_config(@ports)));    # portmap makes its chains once
for my $handler ('crun', 'runc') {
    $c->leaks_nothing("a pod on $handler", sub {
        my $cfg = $c->pod_config(name => "on-$handler", @ports);
        my $p = $c->run_pod($cfg, handler => $handler);
        my $config = $c->container_config('echo page > /tmp/index.html; exec httpd -f -p 80 -h /tmp');
        my $id = $c->run_container($p, $cfg, $config);
        my $ip = $c->call('PodSandboxStatus', {pod_sandbox_id => $p})->{status}{network}{ip};
        is wait_for('the page', sub { my ($rc, $t) = run('curl', '-s', "http://$ip/"); $rc == 0 && $t }), "page\n", "$handler: a page by the pod's address";
        is wait_for('the page', sub { my ($rc, $t) = run('curl', '-s', 'http://10.231.0.1:18080/'); $rc == 0 && $t }), "page\n", "$handler: ... and by the host's port";
        is +($c->exec_sync($id, 'cat', '/tmp/index.html'))[1], "page\n", "$handler: ExecSync";
        is $c->call('PodSandboxStatus', {pod_sandbox_id => $p})->{status}{runtime_handler}, $handler, "$handler: the pod names it";
        $c->remove_pod($p);
    });
}
SKIP: {
    skip 'crictl is not here (make tools)', 1 if !have('crictl');
    my $cfg = $c->pod_config(name => 'crictl');
    mkdir $cfg->{log_directory};
    spew("$c->{dir}/pod.json", $c->crictl_json($cfg));
    spew("$c->{dir}/container.json", $c->crictl_json($c->container_config('echo hello; sleep 1000', log_path => 'c.log')));
    my @made;
    my $step = sub {
        my ($rc, $text) = $c->crictl(@_);
        is $rc, 0, "crictl @_" =~ s/[0-9a-f]{64}/ID/gr or diag $text;
        return $text =~ /([0-9a-f]{64})/ ? $1 : $text;
    };
    $c->leaks_nothing('the path by crictl', sub {
        my $p = $step->('runp', "$c->{dir}/pod.json");
        my $id = $step->('create', $p, "$c->{dir}/container.json", "$c->{dir}/pod.json");
        $step->('start', $id);
        $step->('ps', '-a');
        $step->('inspect', $id);
        $step->('exec', '-s', $id, 'true');
        wait_for('the log', sub { ($c->crictl('logs', $id))[1] eq "hello\n" });
        $step->('stop', '-t', 0, $id);
        $step->('rm', $id);
        $step->('stopp', $p);
        $step->('rmp', $p);
        unlink "$cfg->{log_directory}/c.log";
    });
}
$c->stop;
done_testing;

# The behaviour tests' environment: a daemon, a registry and a CNI network below one temporary directory, in namespaces of
# the test's own. A test file begins with:
#
#   use FindBin; use lib "$FindBin::Bin/lib"; use Cricket;
#   my $c = Cricket->new;            # options: config => {...} (keys of config.yaml), registry => 1
#   $c->start;                       # returns when the daemon answers
#   my $reply = $c->call('Version');
#   $c->leaks_nothing('a pod', sub { ... });
#   $c->stop; done_testing;
package Cricket;
use v5.32;
use warnings;
use Cricket::Sandbox;
BEGIN { Cricket::Sandbox::enter() }

use Cricket::Client;
use Cricket::Leaks;
use Cricket::Wait;
use Exporter ();
use File::Path qw(make_path remove_tree);
use File::Temp;
use FindBin;
use JSON::PP ();
use MIME::Base64 ();
use POSIX ':sys_wait_h';
use Test::More;

our @EXPORT = (qw(wait_for slurp spew run have), @Test::More::EXPORT);

sub import {
    strict->import;
    warnings->import;
    feature->import(':5.32');
    goto &Exporter::import;
}

our $BUILD = Cwd::abs_path($ENV{CRICKET_BUILD} // "$FindBin::Bin/../build/plain");    # the binaries
our $TOOLS = Cwd::abs_path($ENV{CRICKET_TOOLS} // "$BUILD/..");                       # images, crictl, Python modules
$BUILD && -x "$BUILD/cricketd" or die "no cricketd is built: run `make behaviour`, or set CRICKET_BUILD\n";
our $REGISTRY = '127.0.0.1:5000';
our $BUSYBOX  = "$REGISTRY/test/busybox:1";

my @environments;    # each cleans up at the end of the test

use Cwd ();

# Links a fake of t/fake/ into $dir/bin as $name, in front of the real program; returns the link's path.
sub fake {
    my ($self, $fake, $name, $real) = @_;
    my $link = "$self->{dir}/bin/$name";
    symlink "$FindBin::Bin/fake/$fake", $link or die "$link: $!\n";
    spew("$link.real", $real) if $real;
    return $link;
}

# What a fake does from now on: set_faults($link, create => 'fail'); with nothing it does what the real one does.
sub set_faults {
    my ($self, $link, %faults) = @_;
    spew("$link.plan", join '', map { "$_ $faults{$_}\n" } sort keys %faults);
}

# The fakes that hang, as process numbers.
sub hanging {
    my ($self) = @_;
    my $hang = join "\0", 'sleep', '100000', '';
    return map { /(\d+)/ } grep { (slurp($_) // '') eq $hang } glob '/proc/[0-9]*/cmdline';
}

# Ends them. wait_for(..., sub { $c->hanging }) before: a fake hangs a moment after it was called.
sub end_hanging {
    my ($self) = @_;
    kill KILL => $self->hanging;
}

# True if a program is there: for what a machine may lack. In CI a missing one is a failure; crictl, which needs go and the
# network to build, only where go is there.
sub have {
    my ($program) = @_;
    return 1 if grep { -x "$_/$program" } "$TOOLS/tools", split /:/, $ENV{PATH};
    my $may_lack = $program eq 'crictl' && !grep { -x "$_/go" } '/usr/local/go/bin', split /:/, $ENV{PATH};
    die "$program is missing, and CI is set\n" if $ENV{CI} && !$may_lack;
    return;
}

sub new {
    my ($class, %options) = @_;
    Cricket::Sandbox::inside() or die "a test needs its namespaces\n";
    my $dir = File::Temp::tempdir('cricket-XXXXXX', TMPDIR => 1);
    my $tag = $dir =~ s/.*cricket-//r;
    my $self = bless {
        dir => $dir, root => "$dir/root", state => "$dir/state", socket => "$dir/c.sock", log => "$dir/cricketd.log",
        cgroup => "cricket-test-$tag", cni_data => "$dir/cni/data", helpers => [], names => 0, owner => $$, %options,
    }, $class;
    push @environments, $self;
    make_path("$dir/cni/conf", "$dir/cni/data", "$dir/logs", "$dir/bin");
    $self->write_cni;
    spew("$dir/registries.yaml", "mirrors:\n  \"$REGISTRY\":\n    endpoint:\n      - \"http://$REGISTRY\"\n");
    $self->start_registry if $options{registry};
    return $self;
}

# One bridge, host-local addresses, and portmap: what a node has.
sub write_cni {
    my ($self) = @_;
    my $conf = {
        cniVersion => '1.0.0', name => 'testnet',
        plugins => [
            {type => 'bridge', bridge => 'ckt0', isGateway => JSON::PP::true, ipMasq => JSON::PP::true,
             ipam => {type => 'host-local', dataDir => $self->{cni_data}, ranges => [[{subnet => '10.231.0.0/24'}]],
                      routes => [{dst => '0.0.0.0/0'}]}},
            {type => 'portmap', capabilities => {portMappings => JSON::PP::true}},
        ],
    };
    spew("$self->{dir}/cni/conf/10-test.conflist", JSON::PP->new->canonical->pretty->encode($conf));
}

sub spawn {
    my ($self, $log, %env) = @_;
    my @argv = @{delete $env{argv}};
    my $pid = fork // die;
    return $pid if $pid;
    POSIX::setsid();
    open STDIN,  '<',  '/dev/null';
    open STDOUT, '>>', $log or die;
    open STDERR, '>&', \*STDOUT;
    $ENV{$_} = $env{$_} for keys %env;
    exec @argv or POSIX::_exit(127);
}

# $images: the storage to begin with, instead of the tests' images.
sub start_registry {
    my ($self, $images) = @_;
    my $dir = "$self->{dir}/registry";
    make_path($dir);
    run('cp', '-a', $images // "$TOOLS/images/registry", "$dir/data");
    spew("$dir/config.yml", "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
          . "storage: {filesystem: {rootdirectory: $dir/data}, delete: {enabled: true}}\nhttp: {addr: \"$REGISTRY\"}\n");
    push @{$self->{helpers}}, $self->spawn("$dir/log", argv => ['docker-registry', 'serve', "$dir/config.yml"]);
    wait_for('the registry', sub { (run('curl', '-fs', "http://$REGISTRY/v2/"))[0] == 0 });
}

# A value as YAML: JSON is YAML, so only the top level is written by hand.
sub yaml {
    my ($value) = @_;
    return JSON::PP->new->canonical->allow_nonref->encode($value);
}

# The configuration: the harness's own keys and, over them, those of the test; one level of "cni: {...}" is merged.
sub write_config {
    my ($self) = @_;
    my %over = %{$self->{config} // {}};
    my %config = (registries_file => "$self->{dir}/registries.yaml", log_level => 'debug', helper_dir => $BUILD, %over,
                  cni => {conf_dir => "$self->{dir}/cni/conf", %{$over{cni} // {}}});
    spew("$self->{dir}/config.yaml", join '', map { "$_: " . yaml($config{$_}) . "\n" } sort keys %config);
}

sub argv {
    my ($self) = @_;
    return ("$BUILD/cricketd", '--config', "$self->{dir}/config.yaml", '--root', $self->{root}, '--state', $self->{state},
            '--listen', "unix://$self->{socket}");
}

# Starts the daemon without waiting for it.
sub launch {
    my ($self) = @_;
    $self->write_config;
    $self->{daemon_pid} = $self->spawn($self->{log}, argv => [$self->argv],
        ASAN_OPTIONS => 'detect_leaks=1:exitcode=99', UBSAN_OPTIONS => 'print_stacktrace=1:exitcode=99',
        LSAN_OPTIONS => "exitcode=99:suppressions=$FindBin::Bin/lsan.supp:print_suppressions=0");
}

sub start {
    my ($self) = @_;
    $self->launch;
    wait_for('the daemon', sub {
        die "the daemon ended:\n" . $self->log_tail if waitpid($self->{daemon_pid}, WNOHANG) > 0;
        return -S $self->{socket};
    });
    $self->{client} = Cricket::Client->new($self->{socket}, "$TOOLS/py");
    push @{$self->{helpers}}, $self->{client}{pid};
    $self->call('Version', {}, wait_for_ready => JSON::PP::true);
    return $self;
}

sub log_tail {
    my ($self) = @_;
    my @lines = split /\n/, slurp($self->{log}) // '';
    return join '', map { "  $_\n" } @lines > 40 ? @lines[-40 .. -1] : @lines;
}

# SIGTERM; the daemon must end well, and its log must be clean.
sub stop {
    my ($self) = @_;
    kill TERM => $self->{daemon_pid};
    $self->ended('stopping the daemon', 0);
    $self->log_is_clean;
}

# SIGKILL, as a crash.
sub crash {
    my ($self) = @_;
    kill KILL => $self->{daemon_pid};
    $self->ended('crashing the daemon', 9);
}

sub ended {
    my ($self, $what, $want) = @_;
    wait_for("$what", sub { waitpid($self->{daemon_pid}, WNOHANG) == $self->{daemon_pid} }, 30);
    is($?, $want, $what) or diag $self->log_tail;
    delete $self->{daemon_pid};
    $self->close_client;
}

sub close_client {
    my ($self) = @_;
    return if !$self->{client};
    $self->{client}->close;
    delete $self->{client};
}

sub log_is_clean {
    my ($self) = @_;
    my @bad = grep { /ERROR: (Address|Leak)Sanitizer|runtime error:|Assertion .* failed/ } split /\n/, slurp($self->{log}) // '';
    ok(!@bad, 'the daemon\'s log has no fault in it') or diag $self->log_tail;
}

sub call   { my $self = shift; return $self->{client}->call(@_) }
sub fails  { my $self = shift; return $self->{client}->fails(@_) }
sub client { return $_[0]{client} }
sub tcp_connections { return Cricket::Leaks::tcp_connections($_[0]) }

# The error of a call that must fail, compared: $c->fails_with('NOT_FOUND', qr/pod x/, 'StopPodSandbox', {...}).
sub fails_with {
    my ($self, $code, $message, @call) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $e = eval { $self->fails(@call) } // {code => 'none', message => $@};
    return is($e->{code}, $code, "$call[0] fails with $code") && like($e->{message}, $message, "... and says why")
      || diag "$e->{code}: $e->{message}";
}

# Runs crictl: (exit status, output).
sub crictl {
    my ($self, @args) = @_;
    my $config = "$self->{dir}/crictl.yaml";
    spew($config, "runtime-endpoint: unix://$self->{socket}\nimage-endpoint: unix://$self->{socket}\ntimeout: 30\n") if !-e $config;
    return run("$TOOLS/tools/crictl", '--config', $config, @args);
}

# A configuration as crictl reads it: enums are numbers.
sub crictl_json {
    my ($self, $config) = @_;
    my %enum = (POD => 0, CONTAINER => 1, NODE => 2, TARGET => 3);
    return JSON::PP->new->encode($config) =~ s/"(POD|CONTAINER|NODE|TARGET)"/$enum{$1}/gr;
}

# What the system holds once nothing changes any more: what earlier calls left to the background has ended.
sub settled {
    my ($self) = @_;
    my $last = Cricket::Leaks::take($self);
    wait_for('the system to settle', sub {
        my $before = $last;
        $last = Cricket::Leaks::take($self);
        return !Cricket::Leaks::difference($before, $last);
    });
    return $last;
}

# Fails if the system does not come back to what it was. Options: but => qr/lines that do not count/.
sub is_as_before {
    my ($self, $before, $what, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @difference;
    eval {
        wait_for('no difference', sub {
            @difference = grep { !$o{but} || !/$o{but}/ } Cricket::Leaks::difference($before, Cricket::Leaks::take($self));
            return !@difference;
        }, 10);
    };
    splice @difference, 30, @difference, '...' if @difference > 30;
    return ok(!@difference, "$what leaves nothing behind") || diag join "\n", @difference;
}

# Runs $code and compares what the system holds before and after, waiting until they are the same.
sub leaks_nothing {
    my ($self, $what, $code) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $before = $self->settled;
    $code->();
    return $self->is_as_before($before, $what);
}

# ---- pods and containers -------------------------------------------------------------------------------------------------

# A PodSandboxConfig. Options: name, namespace (default "test"), uid, host_network, and anything to put over the top level
# (dns_config, port_mappings, labels, annotations, ...) or over linux.security_context by security => {...}.
sub pod_config {
    my ($self, %o) = @_;
    my $n = ++$self->{names};
    my $name = delete $o{name} // "pod$n";
    my %security = (namespace_options => {network => delete $o{host_network} ? 'NODE' : 'POD', pid => delete $o{pid} // 'CONTAINER'},
                    %{delete $o{security} // {}});
    return {
        metadata => {name => $name, namespace => delete $o{namespace} // 'test', uid => delete $o{uid} // "uid-$name-$n",
                     attempt => delete $o{attempt} // 0},
        hostname => $name, log_directory => "$self->{dir}/logs/$name-$n",
        linux => {cgroup_parent => "/$self->{cgroup}/$name-$n", security_context => \%security, %{delete $o{linux} // {}}},
        %o,
    };
}

# Runs a pod: its id. $config is a PodSandboxConfig; handler => NAME.
sub run_pod {
    my ($self, $config, %o) = @_;
    make_path($config->{log_directory}) if $config->{log_directory};
    return $self->call('RunPodSandbox', {config => $config, runtime_handler => $o{handler} // ''})->{pod_sandbox_id};
}

sub remove_pod {
    my ($self, $id) = @_;
    $self->call('StopPodSandbox',   {pod_sandbox_id => $id});
    $self->call('RemovePodSandbox', {pod_sandbox_id => $id});
}

# A ContainerConfig that runs busybox' shell. Options: name, and anything to put over the top level.
sub container_config {
    my ($self, $script, %o) = @_;
    my $n = ++$self->{names};
    my $name = delete $o{name} // "c$n";
    my %linux = %{delete $o{linux} // {}};
    $linux{security_context} = {namespace_options => {pid => 'CONTAINER'}, %{$linux{security_context} // {}}};
    return {linux => \%linux, metadata => {name => $name, attempt => delete $o{attempt} // 0}, image => {image => delete $o{image} // $BUSYBOX},
            command => ['sh', '-c', $script], log_path => "$name.log", %o};
}

sub create_container {
    my ($self, $pod_id, $pod_config, $config) = @_;
    return $self->call('CreateContainer', {pod_sandbox_id => $pod_id, config => $config, sandbox_config => $pod_config})->{container_id};
}

# Creates and starts: its id.
sub run_container {
    my ($self, $pod_id, $pod_config, $config) = @_;
    my $id = $self->create_container($pod_id, $pod_config, $config);
    $self->call('StartContainer', {container_id => $id});
    return $id;
}

sub container_status {
    my ($self, $id) = @_;
    return $self->call('ContainerStatus', {container_id => $id})->{status};
}

sub wait_exited {
    my ($self, $id, $limit) = @_;
    return wait_for("container $id to exit", sub {
        my $s = $self->container_status($id);
        return $s->{state} eq 'CONTAINER_EXITED' && $s;
    }, $limit);
}

# A path inside a container that was started, as it is found from outside.
sub inside { my ($self, $id, $path) = @_; return "$self->{state}/containers/$id/rootfs$path" }

# The processes of a container whose command lines match.
sub processes_of {
    my ($self, $id, $pattern) = @_;
    return grep { (slurp("/proc/$_/cgroup") // '') =~ /\Q$id\E/ && join(' ', split /\0/, slurp("/proc/$_/cmdline") // '') =~ $pattern }
      map { /(\d+)/ } glob '/proc/[0-9]*';
}

# Runs a command: (exit code, stdout, stderr).
sub exec_sync {
    my ($self, $id, @command) = @_;
    my $r = $self->call('ExecSync', {container_id => $id, cmd => \@command, timeout => 20});
    return ($r->{exit_code}, map { MIME::Base64::decode_base64($r->{$_} // '') } qw(stdout stderr));
}

# The text of a container's log, without the CRI prefix of its lines.
sub log_text {
    my ($self, $pod_config, $config) = @_;
    my $log = slurp("$pod_config->{log_directory}/$config->{log_path}") // '';
    return join '', map { /^\S+ \S+ ([PF])\S* ?(.*)$/s ? $2 . ($1 eq 'F' ? "\n" : '') : "?$_\n" } split /\n/, $log;
}

sub pull {
    my ($self, $image) = @_;
    return $self->call('PullImage', {image => {image => $image // $BUSYBOX}})->{image_ref};
}

END {
    my $status = $?;
    $_->clean_up for @environments;
    $? = $status;
}

# Ends every process of the namespace but ours, and what they leave: mounts, cgroups, the directory.
sub clean_up {
    my ($self) = @_;
    return if $$ != $self->{owner};
    $self->close_client;
    diag "the daemon's log:\n", $self->log_tail if !Test::More->builder->is_passing;
    for my $dir (glob '/proc/[0-9]*') {
        my ($pid) = $dir =~ /(\d+)/;
        kill KILL => $pid if $pid != 1 && $pid != $$;
    }
    unmount_below($self->{dir});
    remove_cgroups($self->{cgroup});
    remove_tree($self->{dir}, {error => \my $ignored}) if !$ENV{CRICKET_KEEP};
}

sub unmount_below {
    my ($dir) = @_;
    run('umount', '-l', $_) for reverse grep { m{^\Q$dir\E/} } map { (split)[4] } split /\n/, slurp('/proc/self/mountinfo');
}

sub remove_cgroups {
    my ($name) = @_;
    for my $top (map { "$_/$name" } '/sys/fs/cgroup', glob '/sys/fs/cgroup/*') {
        next if !-d $top;
        eval {
            wait_for('its processes to end', sub {
                rmdir for reverse grep { -d } $top, Cricket::Leaks::below($top);
                return !-d $top;
            }, 5);
        };
    }
}

1;

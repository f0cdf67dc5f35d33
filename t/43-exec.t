# Exec: a command's streams, its end, its terminal and its client, over SPDY and over WebSocket in every version of the protocols.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;
use Cricket::Stream;

my $c = Cricket->new(registry => 1);
$c->start;
$c->pull($_) for $Cricket::BUSYBOX, "$Cricket::REGISTRY/test/user:1";
my $pod_config = $c->pod_config(name => 'main');
my $pod = $c->run_pod($pod_config);

sub container { return $c->run_container($pod, $pod_config, $c->container_config('sleep 100000', @_)) }
sub remove    { $c->call('RemoveContainer', {container_id => $_[0]}); unlink glob "$pod_config->{log_directory}/*" }
sub session   { my ($id, $script, %o) = @_; return Cricket::Stream->exec($c, $id, ['sh', '-c', $script], %o) }

sub has_process { return scalar $c->processes_of(@_) }
sub has_file    { return -e $c->inside(@_) }

my $id = container();
session($id, 'touch /tmp/first')->exit_code;    # the first connection opens /dev/null in the daemon, once; and the container gets its /tmp

# ---- every protocol --------------------------------------------------------------------------------------------------------
my @SPDY      = qw(v5.channel.k8s.io v4.channel.k8s.io v3.channel.k8s.io v2.channel.k8s.io channel.k8s.io);
my @WEBSOCKET = (qw(v5.channel.k8s.io v4.channel.k8s.io v4.base64.channel.k8s.io channel.k8s.io base64.channel.k8s.io), '');
for my $row ((map { ['spdy', $_] } @SPDY), (map { ['websocket', $_] } @WEBSOCKET)) {
    my ($transport, $protocol) = @$row;
    my @how = (transport => $transport, protocols => [$protocol eq '' ? () : $protocol]);
    my $name = "$transport, " . ($protocol || 'no protocol');
    $c->leaks_nothing($name, sub {
        my $s = session($id, 'echo out; echo err >&2; exit 3', @how);
        my $code = $s->exit_code;
        is $s->{protocol}, $protocol, "$name: chosen";
        is_deeply [@{$s->{got}}{qw(stdout stderr)}], ["out\n", "err\n"], '... stdout and stderr apart';
        if ($protocol =~ /^v[45]/) {
            is $code, 3, '... the exit code in a status';
        } else {
            is $code, 'command terminated with non-zero exit code: exit code 3', '... the exit code in a text';
        }
        is session($id, 'true', @how)->exit_code, 0, '... success';
        $s = session($id, 'head -c 6; echo; cat', @how, stdin => 1);
        $s->write(stdin => $_) for 'abc', 'def';
        $s->see(stdout => qr/^abcdef\n$/);
        if ($transport eq 'spdy' || $protocol =~ /^v5/) {
            $s->write(stdin => 'the rest')->finish('stdin');
            is $s->exit_code, 0, '... the end of stdin ends a cat';
            is $s->{got}{stdout}, "abcdef\nthe rest", '... which has got everything';
        } else {
            $s->close;
            wait_for('the cat to end', sub { !has_process($id, qr/^cat$/) });
            pass '... stdin ends with the client';
        }
        is_deeply $s->{close}, [1000, ''], '... and a Close says that all is well' if $s->{close};
    });
}

# ---- ends of commands --------------------------------------------------------------------------------------------------------
for my $row (['exit 0', 0], ['exit 1', 1], ['exit 255', 255], ['kill -9 $$', 137], ['kill -TERM $$', 143]) {
    $c->leaks_nothing($row->[0], sub { is session($id, $row->[0])->exit_code, $row->[1], "$row->[0]: $row->[1]" });
}
for my $transport (qw(spdy websocket)) {
    for my $tty (0, 1) {
        $c->leaks_nothing("a command that is not there, $transport, tty $tty", sub {
            my $s = Cricket::Stream->exec($c, $id, ['not-there', 'x'], transport => $transport, tty => $tty);
            like $s->exit_code, qr/^Internal error occurred: error executing command in container: .*not-there/, "no such command: $transport, tty $tty";
        });
    }
}
$c->leaks_nothing('many short commands at once', sub {
    my @s = map { session($id, "echo $_; exit $_") } 0 .. 39;
    is_deeply [map { $_->exit_code } @s], [0 .. 39], 'forty commands at once: each has its code';
    is_deeply [map { $_->{got}{stdout} } @s], [map { "$_\n" } 0 .. 39], '... and its output';
});
$c->leaks_nothing('a child that stays', sub {
    my $mine = container();
    is session($mine, 'sleep 20000 & echo begun; exit 4')->exit_code, 4, 'a child in the background does not keep the session';
    my $s = session($mine, '(while echo x; do :; done; echo broken > /tmp/broken) & exit 5', hash => 1);
    is $s->exit_code, 5, '... nor does one that keeps writing';
    wait_for('the writer to end by SIGPIPE', sub { !has_process($mine, qr/while echo x/) });
    ok has_process($mine, qr/sleep 20000/), '... the quiet one lives on';
    remove($mine);
});
for my $how ('StopContainer', 'RemoveContainer', 'StopPodSandbox') {
    $c->leaks_nothing("$how meanwhile", sub {
        my $config = $c->pod_config;
        my $own = $c->run_pod($config);
        my $mine = $c->run_container($own, $config, $c->container_config('sleep 100000'));
        my $s = session($mine, 'echo up; cat; sleep 100000', stdin => 1);
        my $t = session($mine, 'echo up; sleep 100000', tty => 1, stdin => 1);
        $_->see(stdout => qr/up/) for $s, $t;
        $c->call($how, $how =~ /Pod/ ? {pod_sandbox_id => $own} : {container_id => $mine, $how =~ /^Stop/ ? (timeout => 0) : ()});
        is_deeply [map { $_->exit_code } $s, $t], [137, 137], "$how ends the sessions: 137";
        $c->remove_pod($own);
    });
}

# ---- what a command finds ----------------------------------------------------------------------------------------------------
$c->leaks_nothing('a container of another user', sub {
    my $mine = container(image => "$Cricket::REGISTRY/test/user:1", command => ['sh', '-c', 'sleep 100000']);
    my $s = session($mine, 'id -u; id -g; pwd; echo $WHO');
    is $s->exit_code, 0, 'a command as the user of the image';
    is $s->{got}{stdout}, "1000\n1001\n/home/app\ncricket\n", '... with its group, directory and environment';
    remove($mine);
});
$c->leaks_nothing('a container without a shell', sub {
    my $mine = container();
    unlink map { $c->inside($mine, $_) } qw(/bin/sh /bin/ash);
    my $s = Cricket::Stream->exec($c, $mine, ['cat'], stdin => 1);
    $s->write(stdin => 'no shell')->finish('stdin');
    is $s->exit_code . $s->{got}{stdout}, '0no shell', 'a container without a shell';
    like session($mine, 'true')->exit_code, qr/^Internal error occurred: error executing command in container: .*\bsh\b/, '... has none';
    remove($mine);
});
$c->leaks_nothing('streams that nobody asked for', sub {
    my $s = session($id, 'cat; echo $?; echo err >&2; readlink /proc/self/fd/0; readlink /proc/self/fd/2', stderr => 0);
    is $s->exit_code, 0, 'without stdin and stderr';
    is $s->{got}{stdout}, "0\n/dev/null\n/dev/null\n", '... they are /dev/null';
    is session($id, 'cat > /dev/null; echo gone; exit 6', stdin => 1, stdout => 0, stderr => 0)->finish('stdin')->exit_code, 6, 'stdin alone';
});

# ---- terminals ---------------------------------------------------------------------------------------------------------------
for my $row ((map { ['spdy', $_] } @SPDY[0 .. 2]), (map { ['websocket', $_] } @WEBSOCKET)) {
    my ($transport, $protocol) = @$row;
    $c->leaks_nothing("a terminal, $transport $protocol", sub {
        my $s = session($id, 'until [ "$(stty size)" = "40 100" ]; do :; done; echo first; until [ "$(stty size)" = "24 80" ]; do :; done;'
              . ' echo second; tty; read x; echo got $x; exit 9', tty => 1, stdin => 1, transport => $transport, protocols => [$protocol || ()]);
        $s->resize(100, 40);
        $s->see(stdout => qr/first\r\n/);
        $s->write(resize => '{"Width":80,')->write(resize => '"Height":24}');
        $s->see(stdout => qr{second\r\n/dev/pts/\d+\r\n});
        $s->write(stdin => "typed\n");
        like $s->exit_code, qr/^(9|command terminated with non-zero exit code: exit code 9)$/, "a terminal, $transport $protocol: its code";
        like $s->{got}{stdout}, qr/typed\r\ngot typed\r\n$/, '... echo and answer';
        is $s->{seen}{stderr} // 0, 0, '... and nothing on stderr';
    });
}
$c->leaks_nothing('a terminal without a resize stream', sub {
    my $s = session($id, 'echo out; echo err >&2; read x; echo got $x', tty => 1, stdin => 1, protocols => ['v2.channel.k8s.io']);
    $s->see(stdout => qr/out\r\nerr\r\n/);
    $s->write(stdin => "\x04");
    is $s->exit_code, 0, 'v2 has no resize stream, and a terminal for all that';
});
$c->leaks_nothing('odd sizes', sub {
    my $s = session($id, 'echo up; read x; stty size', tty => 1, stdin => 1);
    $s->see(stdout => qr/up/);
    $s->resize(120, 50)->write(resize => $_) for 'garbage{', '{"Width":"x"}', '[]';
    $s->write(stdin => "\n");
    is $s->exit_code, 0, 'what is no size does no harm';
});
$c->leaks_nothing('the end of stdin on a terminal', sub {
    my $s = session($id, 'echo up; until [ -e /tmp/go ]; do sleep 0.01; done; rm /tmp/go; echo still here', tty => 1, stdin => 1);
    $s->see(stdout => qr/up/);
    $s->finish('stdin');
    spew($c->inside($id, '/tmp/go'), '');
    is $s->exit_code, 0, 'the end of stdin does not end a terminal';
    like $s->{got}{stdout}, qr/still here/, '... whose output goes on';
});

# ---- much -------------------------------------------------------------------------------------------------------------------
my $MUCH = 100_000_000;
session($id, "head -c $MUCH /dev/urandom > /tmp/much")->exit_code;
my $sum = Digest::SHA->new(1)->addfile($c->inside($id, '/tmp/much'))->hexdigest;
for my $transport (qw(spdy websocket)) {
    $c->leaks_nothing("much output, $transport", sub {
        my $s = session($id, 'cat /tmp/much; exit 8', transport => $transport, hash => 1);
        is $s->exit_code(60), 8, "$transport: a hundred megabytes of output";
        is $s->{seen}{stdout}, $MUCH, '... complete';
        is $s->digest('stdout'), $sum, '... and in order';
    });
}
$c->leaks_nothing('much input', sub {
    my $sha = Digest::SHA->new(1);
    my $left = 2000;
    my $block = join '', map { chr int rand 256 } 1 .. 49_990;
    my $s = session($id, 'sha1sum', stdin => 1);
    $s->{source} = [stdin => sub { return if !$left--; my $bytes = pack('NNn', $left, $left, 0) . $block; $sha->add($bytes); return $bytes }];
    is $s->exit_code(60), 0, 'a hundred megabytes of input';
    is $s->{got}{stdout}, $sha->hexdigest . "  -\n", '... complete and in order';
});
$c->leaks_nothing('input that nobody reads', sub {
    my $left = 200;
    my $s = session($id, 'head -c 1; exec 0<&-; echo; echo done', stdin => 1);
    $s->{source} = [stdin => sub { return $left-- > 0 ? 'x' x 50_000 : undef }];
    is $s->exit_code, 0, 'ten megabytes of input to a command that reads one byte';
    is $s->{got}{stdout}, "x\ndone\n", '... which is not disturbed';
});

# ---- clients that go ---------------------------------------------------------------------------------------------------------
for my $how (qw(close abort)) {
    for my $transport (qw(spdy websocket)) {
        $c->leaks_nothing("$how, $transport", sub {
            my $mine = container();
            my $s = session($mine, 'echo up; cat; echo > /tmp/ended; sleep 30000', stdin => 1, transport => $transport);
            $s->see(stdout => qr/up/);
            my $t = session($mine, q(trap 'echo > /tmp/hup; exit' HUP; echo up; while :; do read x || sleep 0.01; done), tty => 1, stdin => 1, transport => $transport);
            $t->see(stdout => qr/up/);
            $_->$how for $s, $t;
            wait_for('the end of stdin', sub { has_file($mine, '/tmp/ended') });
            ok has_process($mine, qr/sleep 30000/), "$transport, $how: the command is left alone, without stdin";
            wait_for('SIGHUP', sub { has_file($mine, '/tmp/hup') });
            pass '... and what is on a terminal gets SIGHUP';
            remove($mine);
        });
    }
}
$c->leaks_nothing('clients that go at once', sub {
    my $mine = container();
    session($mine, 'sleep 20', stdin => 1, tty => $_ % 2)->abort for 1 .. 20;
    is session($mine, 'echo here')->exit_code, 0, 'twenty clients that are gone before their command runs';
    remove($mine);
});

# ---- the daemon goes ---------------------------------------------------------------------------------------------------------
my @s = map { session($id, 'echo up; cat; echo > /tmp/over; sleep 30000', stdin => 1, transport => $_) } qw(spdy websocket);
my $t = session($id, q(trap 'echo > /tmp/hup; exit' HUP; echo up; while :; do read x || sleep 0.01; done), tty => 1, stdin => 1);
$_->see(stdout => qr/up/) for @s, $t;
kill TERM => $c->{daemon_pid};
like $_->exit_code, qr/^Internal error occurred: error executing command in container: cricket is shutting down/, 'a daemon that stops tells its client' for @s, $t;
is $s[1]{close}[0], 1000, '... and says Close';
$c->ended('it stops well', 0);
$c->log_is_clean;
$c->start;
ok has_file($id, $_), "$_: the command got the end of its stdin, or terminal" for '/tmp/over', '/tmp/hup';
ok has_process($id, qr/sleep 30000/), '... and is left alone';
is session($id, 'exit 2')->exit_code, 2, 'the next daemon serves';
$c->stop;
done_testing;

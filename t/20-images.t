# Images: pulling from a real registry and from ones that lie, importing, listing, removing.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;

my $c = Cricket->new(registry => 1);
my $R = $Cricket::REGISTRY;
my $LIAR = '127.0.0.1:5001';
spew("$c->{dir}/registries.yaml", join '', "mirrors:\n", map { "  \"$_\":\n    endpoint: [\"http://$_\"]\n" } $R, $LIAR, '127.0.0.1:1');
my $liar_log = "$c->{dir}/liar.log";
push @{$c->{helpers}}, $c->spawn("$c->{dir}/liar.err",
    argv => ['/usr/bin/python3', "$FindBin::Bin/fake/registry", "$Cricket::TOOLS/images/oci", 5001, $liar_log]);
wait_for('the lying registry', sub { (run('curl', '-s', '-o', '/dev/null', "http://$LIAR/v2/"))[0] == 0 });
$c->start;

sub image  { return $c->call('ImageStatus', {image => {image => $_[0]}})->{image} }
sub remove { return $c->call('RemoveImage', {image => {image => $_[0]}}) }
sub layers { return scalar(my @found = glob "$c->{root}/layers/*") }

# ---- one image -----------------------------------------------------------------------------------------------------------
ok !image($Cricket::BUSYBOX), 'ImageStatus of an absent image has no image';
my $id = $c->pull;
like $id, qr/^sha256:[0-9a-f]{64}$/, 'PullImage returns the id';
my $i = image($Cricket::BUSYBOX);
is $i->{id}, $id, 'ImageStatus by tag';
is_deeply $i->{repo_tags}, [$Cricket::BUSYBOX], '... has the tag';
like $i->{repo_digests}[0], qr{^\Q$R\E/test/busybox\@sha256:[0-9a-f]{64}$}, '... and the digest';
cmp_ok $i->{size}, '>', 100_000, '... and the size';
is image($_)->{id}, $id, "ImageStatus by $_" for $i->{repo_digests}[0], $id, substr($id, 7), substr($id, 7, 12);
is $c->pull, $id, 'pulling again gives the same id';
is scalar @{$c->call('ListImages')->{images}}, 1, 'ListImages has it once';
is scalar @{$c->call('ListImages', {filter => {image => {image => $Cricket::BUSYBOX}}})->{images}}, 1, '... by name too';
is scalar @{$c->call('ListImages', {filter => {image => {image => 'nothing:1'}}})->{images}}, 0, '... and not by another name';
is $c->pull($i->{repo_digests}[0]), $id, 'pulling by digest';
my $fs = $c->call('ImageFsInfo')->{image_filesystems}[0];
cmp_ok $fs->{used_bytes}{value}, '>', 100_000, 'ImageFsInfo counts the files';
like $c->{root}, qr/^\Q$fs->{fs_id}{mountpoint}\E/, '... and names a place that has them';

# ---- forms of an image ---------------------------------------------------------------------------------------------------
my $before = layers();
my $v2 = $c->pull("$R/test/busybox:v2s2");
ok $v2, "Docker's media types";
my $zstd = $c->pull("$R/test/busybox:zstd");
ok $zstd, 'zstd';
is layers(), $before, 'one layer on disk for all of them';
$c->pull("$R/test/layers:1");
cmp_ok layers(), '>', $before, 'five layers more';
$c->pull("$R/test/user:1");
ok $c->pull("$R/test/inserted:1"), 'a layer without the end of its archive';
remove("$R/test/inserted:1");
is image("$R/test/user:1")->{username}, 'app', 'the user of an image by name';
remove("$R/test/$_") for qw(busybox:v2s2 busybox:zstd layers:1 user:1);

# ---- removal -------------------------------------------------------------------------------------------------------------
remove($Cricket::BUSYBOX);
ok !image($Cricket::BUSYBOX), 'RemoveImage';
ok remove($Cricket::BUSYBOX), '... of an absent image is no error';
is scalar @{$c->call('ListImages')->{images}}, 0, 'nothing is left' or remove($id);
$c->leaks_nothing('pulling and removing', sub { $c->pull("$R/test/layers:1"); remove("$R/test/layers:1") });

# ---- many at once --------------------------------------------------------------------------------------------------------
my @calls = map { $c->client->start('PullImage', {image => {image => "$LIAR/ok/x:layers"}}) } 1 .. 10;
my %ids = map { ($c->client->finish($_)->{reply}{image_ref} // 'failed') => 1 } @calls;
is scalar keys %ids, 1, 'ten pulls at once have one id' or diag explain \%ids;
my %count;
$count{$_}++ for grep { /blobs/ } split /\n/, slurp($liar_log);
is scalar(grep { $_ > 1 } values %count), 0, '... and fetch each blob once' or diag explain \%count;
remove("$LIAR/ok/x:layers");

# ---- what must fail ------------------------------------------------------------------------------------------------------
for my $row (
    ["$R/test/busybox:absent",   'NOT_FOUND',        qr/busybox:absent/],
    ["$R/test/absent:1",         'NOT_FOUND',        qr{test/absent}],
    ['127.0.0.1:1/x:1',          'UNAVAILABLE',      qr/127\.0\.0\.1:1/],
    ['UPPER/case:1',             'INVALID_ARGUMENT', qr{UPPER/case}],
    ['',                         'INVALID_ARGUMENT', qr/./],
    ["$LIAR/flip/x:busybox",     'DATA_LOSS',        qr/digest|gzip/],
    ["$LIAR/short/x:busybox",    undef,              qr/./],
    ["$LIAR/nolayer/x:busybox",  undef,              qr/404|not found/i],
    ["$LIAR/noconfig/x:busybox", undef,              qr/404|not found/i],
    ["$LIAR/badconfig/x:busybox", undef,             qr/digest/],
    ["$LIAR/err500/x:busybox",   undef,              qr/500/],
    ["$LIAR/noise/x:busybox",    undef,              qr/manifest/],
    ["$LIAR/huge/x:busybox",     undef,              qr/more than .* bytes/],
    ["$LIAR/many/x:busybox",     undef,              qr/layers/],
    ["$LIAR/loop/x:busybox",     undef,              qr/redirect/],
    ["$LIAR/htmlpage/x:busybox", undef,              qr/manifest|html/i],
  ) {
    my ($image, $code, $message) = @$row;
    $c->leaks_nothing("pulling '$image'", sub {
        my $e = $c->fails('PullImage', {image => {image => $image}});
        like $e->{message}, $message, "'$image' fails and says why ($e->{code})" or diag $e->{message};
        is $e->{code}, $code, '... with the code' if $code;
    });
}

# ---- cancelling ----------------------------------------------------------------------------------------------------------
$c->leaks_nothing('a pull that is cancelled', sub {
    my $call = $c->client->start('PullImage', {image => {image => "$LIAR/hang/x:busybox"}});
    wait_for('the layer', sub { slurp($liar_log) =~ m{hang/x/blobs/\S+ .*\n.*hang/x/blobs}s });
    $c->client->cancel($call);
    is $c->client->finish($call)->{code}, 'CANCELLED', 'the client cancelled';
});
$c->leaks_nothing('a pull whose deadline passes', sub {
    my $e = $c->fails('PullImage', {image => {image => "$LIAR/hang/x:busybox"}}, timeout => 1);
    is $e->{code}, 'DEADLINE_EXCEEDED', 'the deadline passed';
});
is scalar(my @tasks = glob "/proc/$c->{daemon_pid}/task/*"), 1, 'the daemon still has one thread';

# ---- crash ---------------------------------------------------------------------------------------------------------------
$before = $c->settled;
my $call = $c->client->start('PullImage', {image => {image => "$LIAR/hang/x:layers"}});
wait_for('a layer that hangs', sub { slurp($liar_log) =~ m{hang/x/manifests/layers.*hang/x/blobs/.*hang/x/blobs/}s });
$c->crash;
$c->start;
ok $c->pull("$LIAR/ok/x:layers"), 'a pull after a crash in the middle of one';
remove("$LIAR/ok/x:layers");
$c->is_as_before($before, 'a crash in a pull', but => qr/ descriptor /);

# ---- archives ------------------------------------------------------------------------------------------------------------
my $imported = $c->call('ImportImage', {path => "$Cricket::TOOLS/images/busybox.tar"})->{images};
is_deeply $imported->[0]{references}, ['example.test/archive/busybox:1'], 'ImportImage of a docker-archive';
is image('example.test/archive/busybox:1')->{id}, $imported->[0]{id}, '... gives an image';
remove('example.test/archive/busybox:1');
$c->fails_with('INVALID_ARGUMENT', qr/without a name/, 'ImportImage',
    {path => "$Cricket::TOOLS/images/oci.tar", reference => 'example.test/oci'});
$imported = $c->call('ImportImage', {path => "$Cricket::TOOLS/images/oci.tar"})->{images};
ok @$imported, 'ImportImage of an OCI layout' or diag explain $imported;
remove($_->{id}) for @$imported;
$c->fails_with('NOT_FOUND',        qr{/absent\.tar}, 'ImportImage', {path => '/absent.tar'});
$c->fails_with('INVALID_ARGUMENT', qr/absolute/,     'ImportImage', {path => 'absent.tar'});

# ---- restart -------------------------------------------------------------------------------------------------------------
$id = $c->pull;
$c->stop;
$c->start;
is image($Cricket::BUSYBOX)->{id}, $id, 'images survive a restart';
remove($Cricket::BUSYBOX);

SKIP: {
    skip 'crictl is not here (make tools)', 5 if !have('crictl');
    for my $row (['pull', $Cricket::BUSYBOX], ['images'], ['inspecti', $Cricket::BUSYBOX], ['imagefsinfo'], ['rmi', $Cricket::BUSYBOX]) {
        my ($rc, $text) = $c->crictl(@$row);
        is $rc, 0, "crictl @$row" or diag $text;
    }
}
wait_for('idle connections to the registries to be closed', sub { !$c->tcp_connections }, 60);
pass 'no connection to a registry is kept';
$c->stop;
done_testing;

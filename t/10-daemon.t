use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;

my $c = Cricket->new;
$c->start;
is_deeply $c->call('Version'), {version => '0.1.0', runtime_name => 'cricket', runtime_version => '0.1.0', runtime_api_version => 'v1'}, 'Version';
$c->fails_with('UNIMPLEMENTED', qr/^CheckpointContainer is not implemented by cricket/, 'CheckpointContainer');
$c->leaks_nothing('a hundred calls', sub {
    my @calls = map { $c->client->start('Version') } 1 .. 100;
    $c->client->finish($_) for @calls;
});
$c->stop;
done_testing;

# The disk below ROOT/layers does not take what is written to it, which the kernel says when it is asked to sync: a file system on a
# loop device whose own file cannot grow.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;
use File::Path qw(make_path);

my $c = Cricket->new(registry => 1);
my $layers = "$c->{root}/layers";
make_path("$c->{dir}/small", $layers);

# ext2: without a journal a failed write concerns the file alone, and the file system goes on.
sub mount_small {
    my @steps = (
        ['mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', "$c->{dir}/small"],
        ['truncate', '-s', '64m', "$c->{dir}/small/disk"],
        ['mkfs.ext2', '-q', '-F', '-N', '256', "$c->{dir}/small/disk"],
        ['mount', '-o', 'loop', "$c->{dir}/small/disk", $layers],
    );
    for my $step (@steps) {
        my ($rc, $text) = run(@$step);
        return "@$step: $text" if $rc;
    }
    return;
}

SKIP: {
    if (my $why = mount_small()) {
        skip "no loop device here: $why", 1;
    }
    rmdir "$layers/lost+found";
    $c->start;
    $c->leaks_nothing('a layer that does not get to the disk', sub {
        my $e = $c->fails('PullImage', {image => {image => $Cricket::BUSYBOX}});
        like $e->{message}, qr/sync \S+layers to disk: /, "is told ($e->{code}: $e->{message})";
        is_deeply [glob "$layers/[0-9a-f]*"], [], 'it has no name';
        is_deeply $c->call('ListImages')->{images} // [], [], 'there is no image';
    });
    run('mount', '-o', 'remount,size=64m', "$c->{dir}/small");
    ok $c->pull, 'and with a disk that takes it all is well';
    $c->call('RemoveImage', {image => {image => $Cricket::BUSYBOX}});
    $c->stop;
}
done_testing;

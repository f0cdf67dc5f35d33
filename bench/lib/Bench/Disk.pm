# A file system of a runtime's own, on a loop device: what it writes can be counted, and neither the other one's work nor the
# machine's is among it. ext4 with a journal, as nodes have it.
package Bench::Disk;
use v5.32;
use warnings;
use Cricket::Wait;

# An empty file system of $gib GiB, mounted on $dir; the file behind it takes only what is written. undef where the machine has
# no loop devices: bytes written are unknown then.
sub new {
    my ($class, $dir, $gib) = @_;
    mkdir $dir;
    open my $f, '>', "$dir.img" or die "$dir.img: $!\n";
    truncate $f, $gib << 30 or die "$dir.img: $!\n";
    close $f;
    my ($rc, $text) = run('mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', "$dir.img");
    die "mkfs.ext4: $text" if $rc;
    ($rc, $text) = run('losetup', '--find', '--show', "$dir.img");
    if ($rc) {
        unlink "$dir.img";
        return;
    }
    my $self = bless {dir => $dir, device => $text =~ s/\s+//gr}, $class;
    ($rc, $text) = run('mount', $self->{device}, $dir);
    # from now on the device lives as long as the mount, and the mount as long as our namespace: nothing stays, however this ends
    run('losetup', '-d', $self->{device});
    unlink "$dir.img";
    die "mount $self->{device}: $text" if $rc;
    return $self;
}

sub dir { return $_[0]{dir} }

1;

# The images of the benchmarks: a registry's storage, made once.
package Bench::Images;
use v5.32;
use warnings;
use Cricket::Wait;

# The directory that Cricket's start_registry() takes.
sub storage {
    my $images = "$Cricket::TOOLS/bench-images";
    return "$images/registry" if -d $images;
    say 'making the images, once';
    mkdir "$images.new.$$" or die "$images.new.$$: $!\n";
    my ($rc, $text) = run("$FindBin::Bin/../bench/images.sh", "$images.new.$$", "$Cricket::TOOLS/images", "$Cricket::BUILD/cricket-pause");
    die "bench/images.sh:\n$text" if $rc;
    rename "$images.new.$$", $images or die "$images: $!\n";
    return "$images/registry";
}

1;

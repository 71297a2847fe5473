# SPDX-License-Identifier: Apache-2.0
# ratios.gnuplot: ratios.tsv (bench/summarize) as bars with their smallest and largest; -e "format='svg'" or 'png'.
if (format eq 'svg') set terminal svg size 1400,700 dynamic background '#ffffff' font 'sans,12'; else set terminal pngcairo size 1400,700 font 'sans,10'
set output 'ratios.'.format
set datafile separator '\t'
set title 'Speed relative to plain RocksDB (1 = as fast; bars: median, whiskers: smallest and largest of the repeats)'
set key outside bottom center horizontal
set style data histogram
set style histogram errorbars gap 1.5 lw 1
set style fill solid 0.8 border -1
set bars 0.3
set boxwidth 0.9
set grid ytics
set yrange [0:*<2]
set arrow from graph 0, first 1 to graph 1, first 1 nohead lw 1.5 front
set xtics rotate by -35 scale 0
array color[6] = ['#b0b0b0', '#e69f00', '#0072b2', '#56b4e9', '#009e73', '#cc79a7']
names = system("head -n 1 ratios.tsv | cut -f 2-")
plot for [i = 1:words(names)] 'ratios.tsv' skip 1 using (column(3 * i - 1)):(column(3 * i)):(column(3 * i + 1)):xtic(1) \
	title word(names, i) linecolor rgb color[i]

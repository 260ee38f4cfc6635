# SPDX-License-Identifier: Apache-2.0
# What Ruby makes of collections: of each line of tab-separated timestamps
# ("-": nil) the digest of the recipe, then the timestamps in µs.
require 'digest'
require 'time'

Record = Struct.new(:updated_at)

def read_time(text)
  return nil if text == '-'
  return Time.at(Rational(text)) if text.match?(/\A[0-9.]+\z/)

  Time.parse(text)
end

STDIN.each_line do |line|
  records = line.chomp.split("\t").map { |text| Record.new(read_time(text)) }
  digest = Digest::MD5.hexdigest(records.sum { |r| r.updated_at.to_i }.to_s)
  us = records.map do |r|
    r.updated_at ? (r.updated_at.to_r * 1_000_000).floor : '-'
  end
  puts [digest, *us].join(' ')
end

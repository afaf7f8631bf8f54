# What tests/tests/clients.rs asks of every client, in the statements that Eventide's
# message-store-postgres 2.5.1 sends. A replay: Debian has its driver (ruby-pg), but not its gems.

require 'json'
require 'pg'
require 'securerandom'

WRITE = 'SELECT write_message($1::varchar, $2::varchar, $3::varchar, $4::jsonb, $5::jsonb, $6::bigint);'
GET_STREAM = 'SELECT * FROM get_stream_messages($1::varchar, $2::bigint, $3::bigint, $4::varchar);'
GET_CATEGORY = 'SELECT * FROM get_category_messages($1::varchar, $2::bigint, $3::bigint, $4::varchar, ' \
               '$5::bigint, $6::bigint, $7::varchar);'
GET_LAST = 'SELECT * FROM get_last_stream_message($1::varchar);'
GET_LAST_OF_TYPE = 'SELECT * FROM get_last_stream_message($1::varchar, $2::varchar);'

category, _protocol, _path, count = ARGV
stream = "#{category}-1"
$stdout.sync = true

connection = PG::Connection.open
connection.type_map_for_results = PG::BasicTypeMapForResults.new(connection)

write = lambda do |data, expected_version|
  values = [SecureRandom.uuid, stream, 'Noted', JSON.generate(data), nil, expected_version]
  connection.exec_params(WRITE, values)[0].values[0]
end

3.times { |number| puts "write #{write.call({ number: number }, number - 1)}" }

messages = connection.exec_params(GET_STREAM, [stream, 0, 1000, nil])
puts "format #{messages.fformat(messages.fnumber('position')).zero? ? 'text' : 'binary'}"
messages.each do |message|
  puts "read #{message['position']} #{message['type']} #{JSON.parse(message['data'])['number']}"
end
[[GET_LAST, [stream]], [GET_LAST_OF_TYPE, [stream, 'Noted']]].each do |sql, values|
  last = connection.exec_params(sql, values)[0]
  raise "the last message is not #{last}" unless last['position'] == 2
end

begin
  write.call({}, 7)
rescue PG::RaiseException => error
  text = error.message.lines.first.gsub('ERROR:', '').strip
  puts "conflict #{error.result.error_field(PG::PG_DIAG_SQLSTATE)} #{text}"
end

puts 'following'
seen = 0
position = 0
while seen < Integer(count)
  connection.exec_params(GET_CATEGORY, [category, position + 1, 10, nil, nil, nil, nil]).each do |message|
    seen += 1
    position = message['global_position']
    puts "follow #{position}"
  end
end
puts 'done'
